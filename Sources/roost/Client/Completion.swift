/// `roost completion`: scripts for shells, made from the commands themselves.

import ArgumentParser

struct Completion: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the completion script of a shell.",
        discussion: """
            EXAMPLES
              source <(roost completion bash)                    for this shell alone
              roost completion bash > ~/.local/share/bash-completion/completions/roost
              roost completion zsh > "${fpath[1]}/_roost"        then start a new shell
              roost completion fish > ~/.config/fish/completions/roost.fish
            """,
        version: Roost.version)

    @Argument(help: "bash, zsh or fish.", completion: .list(["bash", "zsh", "fish"]))
    var shell: String

    func validate() throws {
        guard CompletionShell(rawValue: shell) != nil else {
            throw ValidationError("the shell must be bash, zsh or fish")
        }
    }

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else { return }
        print(Roost.completionScript(for: shell))
    }
}
