/// `roost import`: what is set up on one server, set up on another.

import ArgumentParser
import Domain
import Foundation

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy topics, queues, schedules and flow-control settings from another QStash-compatible server.",
        discussion: """
            Reads the server named by --from with ROOST_IMPORT_TOKEN (or ROOST_IMPORT_TOKEN_FILE, --from-token-file), and
            changes nothing there. What only the target has stays; a second run finds nothing to do. Asks first; without a
            terminal that needs --yes. Exit status 1 where something could not be copied.

            EXAMPLES
              roost import --from https://qstash.upstash.io --dry-run
              roost import --from https://qstash.upstash.io --from-token-file ./token
              roost import --from http://old:8080 --url http://new:8080 --yes
            """,
        version: Roost.version)

    @Option(help: "The server to copy from.") var from: String
    @Option(
        name: .customLong("from-token-file"),
        help: "A file with its token; without it ROOST_IMPORT_TOKEN or ROOST_IMPORT_TOKEN_FILE.", completion: .file())
    var fromTokenFile: String?
    @Flag(name: .customLong("dry-run"), help: "Show what would change, and change nothing.") var isDryRun = false
    @Flag(help: "Without a question.") var yes = false
    @OptionGroup(title: "Server to copy to") var connection: ConnectionOptions

    func run() async throws {
        let base = try ServerURL.base(from, from: "--from")
        guard let token = try Secret.read("ROOST_IMPORT_TOKEN", file: fromTokenFile) else {
            throw CommandFailure(
                text: "ROOST_IMPORT_TOKEN is missing: set it, or ROOST_IMPORT_TOKEN_FILE, or --from-token-file",
                status: 2)
        }
        let target = try connection.connect()
        if base == target.base { throw CommandFailure(text: "source and target are both \(base)", status: 2) }
        let source = try ServerConnection(
            base: base, token: token, caFile: connection.caFile, seconds: connection.wait, place: "--from")
        let steps = ImportPlan.steps(
            from: try await ServerContents.read(source), to: try await ServerContents.read(target))
        if !connection.json { try show(steps, source.base, target.base) }
        if isDryRun {
            if connection.json { for step in steps { try tell(step, isDone: nil) } }
        } else {
            try await apply(steps, to: target)
        }
        if !connection.json { try await leftovers(steps, source, target) }
        if !isDryRun, let skipped = steps.first(where: { $0.action == .skip }) {
            throw CommandFailure(text: "not copied: \(skipped.kind) \(skipped.name): \(skipped.detail)")
        }
    }

    private func show(_ steps: [ImportStep], _ source: String, _ target: String) throws {
        let out = Terminal.output
        let changes = steps.filter { $0.action != .same }
        if !changes.isEmpty {
            var table = TextTable([
                .init(title: "WHAT", least: nil), .init(title: "KIND", least: nil), .init(title: "NAME", least: 12),
                .init(title: "DETAIL", least: 12),
            ])
            for step in changes {
                let tone: Cell.Tone =
                    switch step.action {
                    case .add: .good
                    case .change: .warning
                    case .skip: .bad
                    case .same: .plain
                    }
                table.rows.append([
                    Cell(step.action.rawValue, tone), Cell(step.kind), Cell(step.name), Cell(step.detail),
                ])
            }
            try out.table(table)
        }
        func count(_ action: ImportStep.Action) -> Int { steps.count { $0.action == action } }
        try out.say(
            "\(source) to \(target): \(count(.add)) to add, \(count(.change)) to change, "
                + "\(count(.same)) already so, \(count(.skip)) that can't be copied")
    }

    private func apply(_ steps: [ImportStep], to target: ServerConnection) async throws {
        let work = steps.filter { !$0.calls.isEmpty }
        if !work.isEmpty {
            try Confirmation.ask("Make these \(work.count) changes on \(target.base)?", yes: yes)
        }
        let bar = ProgressBar("importing", total: work.count)
        let (done, failed) = (Counter(), Counter())
        let json = connection.json
        let result: Result<Bool, any Error>
        do {
            result = .success(
                try await Interruption.guarding {
                    for step in json ? steps : work {
                        if Task.isCancelled { return }
                        do {
                            try await Interruption.whole {
                                for call in step.calls {
                                    try await target.call(
                                        call.method, call.path, query: call.query, headers: call.headers,
                                        body: call.body)
                                }
                            }
                            if !step.calls.isEmpty { done.add(1) }
                            if json { try tell(step, isDone: step.action != .skip) }
                        } catch let failure as CommandFailure where failure.status != ClientStatus.unreachable {
                            failed.add(1)
                            bar.clear()
                            Console.complain("\(step.kind) \(SafeText.line(step.name)): \(failure.text)")
                            if json { try tell(step, isDone: false) }
                        }
                        bar.advance(by: step.calls.isEmpty ? 0 : 1)
                    }
                })
        } catch {
            result = .failure(error)
        }
        bar.clear()
        if !json, !work.isEmpty { try Terminal.output.say("made \(done.value) of \(work.count) changes") }
        if try result.get() { throw CommandFailure(text: "interrupted", status: ClientStatus.interrupted) }
        if failed.value > 0 { throw CommandFailure(text: "\(failed.value) of \(work.count) changes failed") }
    }

    /// A line of --json.
    private func tell(_ step: ImportStep, isDone: Bool?) throws {
        var json = JSONText()
        json.object { json in
            json.field("kind", step.kind)
            json.field("name", step.name)
            json.field("action", step.action.rawValue)
            json.field("detail", step.detail)
            if let isDone { json.field("done", isDone) }
        }
        try Terminal.output.json(json.bytes)
    }

    /// What no API hands over.
    private func leftovers(_ steps: [ImportStep], _ source: ServerConnection, _ target: ServerConnection) async throws {
        let out = Terminal.output
        try out.say("")
        try out.say("Not copied, because the API does not hand it over:")
        try out.say("  messages that wait, dead letters and logs: let the source deliver what it has")
        try out.say("  tokens; limits of flow keys that are not pinned: they come with the messages")
        if steps.contains(where: { $0.kind == "schedule" && $0.action != .same }) {
            try out.say("  of schedules: what is redacted, and the settings of callbacks beyond URL and headers")
        }
        let keys = (try? await source.get("/v2/keys"), try? await target.get("/v2/keys"))
        if let mine = keys.0?["current"], mine == keys.1?["current"] {
            try out.say("Signing keys are the same on both.")
        } else {
            try out.say(
                "  signing keys: give receivers the keys of the target (roost keys show), or start a new target")
            try out.say("  with the source's keys in QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY")
        }
    }
}
