/// The command line: one file for each command, the exit statuses of running.md.

import ArgumentParser
import Foundation

@main
struct Roost: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "A self-hosted, QStash-compatible HTTP message queue and scheduler on your own Redis.",
        discussion: """
            EXAMPLES
              roost dev                everything on this machine
              roost serve --settings   what production can be told
              roost publish https://example.com/hook --body hello --delay 10m
              roost logs --follow
              roost cron 'CRON_TZ=Europe/Berlin 30 2 * * *'
              roost backoff 'pow(2, retried) * 1000'

            EXIT STATUS
              0    done
              1    refused or failed: by the server, a check, your answer to a question
              2    wrong arguments or settings; nothing was done
              3    the server can't be reached, or can't serve now (timeout, 502 to 504)
              4    there is no such message, topic, queue, schedule, key or dead letter
              130  interrupted

            Commands that talk to a server read QSTASH_URL (http://127.0.0.1:8080 unless set) and QSTASH_TOKEN or
            QSTASH_TOKEN_FILE. NO_COLOR turns colours off, COLUMNS sets the width of tables.
            """,
        version: version,
        subcommands: [CronTable.self, BackoffTable.self, Completion.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Servers", subcommands: [Dev.self, Serve.self, Doctor.self, Healthcheck.self, Bench.self]),
            CommandGroup(
                name: "Client",
                subcommands: [
                    Publish.self, Messages.self, Schedules.self, Topics.self, Queues.self, Flows.self,
                    DeadLetters.self, Logs.self, Keys.self, Verify.self, Import.self,
                ]),
        ])

    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot(CommandWords.normalized(Array(CommandLine.arguments.dropFirst())))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let problems as SettingProblems {
            for line in problems.lines { Console.complain(line) }
            Foundation.exit(2)
        } catch let failure as CommandFailure {
            Console.complain(failure.text)
            Foundation.exit(failure.status)
        } catch {
            end(with: error)
        }
    }

    /// Help and version go to standard output with status 0; a wrong argument is one line and status 2.
    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        if code == .success {
            print(fullMessage(for: error))
            Foundation.exit(0)
        }
        if code == .validationFailure {
            let help = fullMessage(for: error).firstMatch(of: /See '(roost [^']*)'/)?.output.1 ?? "roost --help"
            let text = message(for: error).split(separator: "\n").joined(separator: " ")
            Console.complain("\(text) (see \(help))")
            Foundation.exit(2)
        }
        let text = message(for: error)
        if !text.isEmpty { Console.complain(text) }
        Foundation.exit(code.rawValue)
    }
}

/// Ends the program with a line for people.
struct CommandFailure: Error {
    let text: String
    var status: Int32 = 1
}

enum CommandWords {
    /// `-port=8081` and `-port 8081`, as the official development server is called, mean `--port`.
    static func normalized(_ words: [String]) -> [String] {
        guard ["dev", "serve"].contains(words.first) else { return words }
        return words.map { $0 == "-port" || $0.hasPrefix("-port=") ? "-" + $0 : $0 }
    }
}

enum Console {
    static func complain(_ line: String) {
        write(Array("roost: \(line)\n".utf8), to: STDERR_FILENO)
    }

    /// Unbuffered: what a person waits for must not sit in a buffer because standard output is a pipe.
    static func say(_ text: String) {
        write(Array((text + "\n").utf8), to: STDOUT_FILENO)
    }

    /// What can't be written is dropped: a full disk or a reader that is gone must not end a server.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) } else if count == 0 || errno != EINTR { return }
        }
    }
}
