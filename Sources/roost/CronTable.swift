/// `roost cron`: when a schedule would run, across changes of the clocks.

import ArgumentParser
import Domain
import Foundation

struct CronTable: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron", abstract: "Show the next runs of a cron expression.",
        discussion: """
            One run a line: local time with its offset, and UTC. A run whose local time is skipped when clocks go forward is
            marked `shifted`; one whose local time comes twice runs the first time and is marked `first of two`; runs that fall
            together with a shifted one are marked `merged`.

            EXAMPLES
              roost cron '0 9 * * MON-FRI'
              roost cron 'CRON_TZ=America/New_York 30 2 * * *' --count 3
              roost cron '30 2 * * *' --zone Europe/Berlin --from 2027-03-27T00:00:00Z
            """,
        version: Roost.version)

    @Argument(help: "The value of Upstash-Cron.")
    var expression: String

    @Option(help: "How many runs.")
    var count = 5

    @Option(help: "Zone for an expression without CRON_TZ.")
    var zone: String?

    @Option(help: "Runs after this moment, in ISO 8601; now unless set.")
    var from: String?

    func validate() throws {
        guard (1...10_000).contains(count) else { throw ValidationError("--count must be 1 to 10000") }
        if let zone, ScheduleZone(zone) == nil { throw ValidationError("--zone: unknown time zone \(zone)") }
        if let from, ISO8601DateFormatter().date(from: from) == nil {
            throw ValidationError("--from must look like 2027-03-27T00:00:00Z")
        }
    }

    func run() throws {
        let start = from.flatMap { ISO8601DateFormatter().date(from: $0) } ?? Date()
        var time = Timestamp(milliseconds: Int64(start.timeIntervalSince1970 * 1000))
        let hasZone = expression.hasPrefix("CRON_TZ=") || expression.hasPrefix("TZ=")
        let text = hasZone ? expression : zone.map { "CRON_TZ=\($0) \(expression)" } ?? expression
        let cron: CronExpression
        do {
            cron = try CronExpression(text, now: time)
        } catch {
            throw CommandFailure(text: "Invalid cron expression \(error.text)", status: 2)
        }
        for _ in 0..<count {
            guard let run = cron.run(after: time) else { break }
            let offset = cron.zone.offset(at: run.time.seconds)
            var line = run.time.iso8601(offset: offset) + "  " + run.time.iso8601(offset: 0, zulu: true)
            if run.isShifted { line += "  shifted" }
            if run.merges > 0 { line += "  merged \(run.merges + 1) runs" }
            if run.isFirstOfTwo { line += "  first of two" }
            print(line)
            time = run.time
        }
    }
}
