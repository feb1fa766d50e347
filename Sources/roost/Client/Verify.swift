/// `roost verify`: checks a signature as a receiver does, without a server, and tells which check fails.

import ArgumentParser
import Domain
import Foundation

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check the signature of a delivery and tell which check fails.",
        discussion: """
            The keys come from QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY (or the same with _FILE), from a file
            that roost keys show --json wrote, or with --dev from roost dev. Exit status 1 where a check fails.

            EXAMPLES
              roost verify "$signature" --url https://example.com/hook --body @body.json
              roost verify @signature.txt --keys keys.json --body - < body.json
              roost verify "$signature" --body '{"orderId":42}' --at 2027-03-27T08:00:00Z
            """,
        version: Roost.version)

    @Argument(help: "The value of Upstash-Signature; @FILE or - for standard input.")
    var signature: String
    @Option(help: "The URL the receiver was called by; without it that is not checked.")
    var url: String?
    @Option(help: "What was received: TEXT, @FILE, or - for standard input; nothing unless set.")
    var body: String?
    @Option(help: "A file with {\"current\":\"sig_…\",\"next\":\"sig_…\"}.", completion: .file())
    var keys: String?
    @Option(help: "When it was received: \(TimeText.formsOrAgo); now unless set.")
    var at: String?
    @Flag(help: "The keys of roost dev.") var dev = false
    @Flag(help: "A JSON document.") var json = false

    func validate() throws {
        if let at, TimeText().parse(at, ago: true) == nil {
            throw ValidationError("--at must be one of: \(TimeText.formsOrAgo)")
        }
        if dev, keys != nil { throw ValidationError("--dev and --keys: give one of them") }
        if signature == "-", body == "-" { throw ValidationError("signature and --body can't both be standard input") }
    }

    func run() throws {
        let clock = TimeText()
        let keys = try signingKeys()
        let text = String(decoding: try BodyText.read(signature, option: "signature"), as: UTF8.self)
        var report = SignatureReport(
            token: text.trimmingCharacters(in: .whitespacesAndNewlines), url: url, body: try BodyText.read(body),
            now: at.flatMap { clock.parse($0, ago: true) } ?? .clock, keys: keys)
        report.examine()
        if json {
            try Terminal.output.json(report.json)
        } else {
            let out = Terminal.output
            for check in report.checks {
                let mark = check.fault == nil ? "ok  " : "FAIL"
                try out.say(SafeText.line("\(mark)  \(check.name)\(check.fault.map { ": " + $0 } ?? check.note)"))
            }
        }
        if let fault = report.checks.lazy.compactMap(\.fault).first { throw CommandFailure(text: fault) }
    }

    private func signingKeys() throws -> SigningKeys {
        if dev { return DevelopmentCredentials.keys }
        if let keys {
            guard let data = FileManager.default.contents(atPath: keys), let value = try? JSONValue.read(Array(data)),
                let current = value["current"]?.string
            else {
                throw CommandFailure(text: "--keys: \(keys) can't be read as {\"current\":…,\"next\":…}", status: 2)
            }
            return SigningKeys(current: current, next: value["next"]?.string ?? current)
        }
        guard let current = try Secret.read("QSTASH_CURRENT_SIGNING_KEY") else {
            throw CommandFailure(
                text: "QSTASH_CURRENT_SIGNING_KEY is missing: set it, or give --keys, or --dev for roost dev", status: 2
            )
        }
        return SigningKeys(current: current, next: try Secret.read("QSTASH_NEXT_SIGNING_KEY") ?? current)
    }
}

/// Every check of a signature, the later ones too where an earlier one fails.
struct SignatureReport {
    struct Check {
        let name: String
        var fault: String?
        var note = ""
    }

    let token: String
    let url: String?
    let body: [UInt8]
    let now: Timestamp
    let keys: SigningKeys
    private(set) var checks: [Check] = []

    init(token: String, url: String?, body: [UInt8], now: Timestamp, keys: SigningKeys) {
        (self.token, self.url, self.body, self.now, self.keys) = (token, url, body, now, keys)
    }

    /// The verifier stops at the first fault; each is met by asking again with that one mended.
    mutating func examine() {
        var faults: [SignatureVerifier.Fault] = []
        var (url, now) = (url, now)
        let verifier = SignatureVerifier(keys: keys)
        checking: while true {
            do {
                try verifier.verify(token, url: url, body: body, now: now)
                break checking
            } catch {
                let isKnown = faults.contains(error)
                faults.append(error)
                switch error {
                case .url: url = nil
                case .expired(let at): now = Timestamp(seconds: at)
                case .notYetValid(let from): now = Timestamp(seconds: from)
                case .malformed, .key, .bodyHash: break checking
                }
                // A signature that is never valid: it expires before it begins.
                if isKnown { break checking }
            }
        }
        checks = Self.checks(faults, hasURL: self.url != nil, isNext: isNext)
    }

    /// Made with the next key: the receiver holds a pair from before a rotation.
    private var isNext: Bool {
        do {
            try SignatureVerifier(keys: SigningKeys(current: keys.current, next: keys.current))
                .verify(token, url: nil, body: body, now: now)
            return false
        } catch {
            return error == .key
        }
    }

    private static func checks(_ faults: [SignatureVerifier.Fault], hasURL: Bool, isNext: Bool) -> [Check] {
        let clock = TimeText()
        var form = Check(name: "form")
        var key = Check(
            name: "key", note: isNext ? " (the next one: this pair is from before a rotation)" : " (the current one)")
        var place = Check(name: "url", note: hasURL ? "" : " (not checked: no --url)")
        var time = Check(name: "time")
        var hash = Check(name: "body hash")
        for fault in faults {
            let text = fault.description
            switch fault {
            case .malformed: form.fault = text
            case .key: key.fault = text
            case .url: place.fault = text
            case .bodyHash: hash.fault = text
            case .expired(let at): time.fault = "the signature has expired at \(clock.full(Timestamp(seconds: at)))"
            case .notYetValid(let from):
                time.fault = "the signature is not valid before \(clock.full(Timestamp(seconds: from)))"
            }
        }
        // Nothing more can be said of what was made with another key, or is no signature.
        if form.fault != nil { return [form] }
        if key.fault != nil { return [form, key] }
        return [form, key, place, time, hash]
    }

    /// `{"valid":false,"checks":{"form":true,"key":true,"url":"the signature is for…"}}`
    var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("valid", checks.allSatisfy { $0.fault == nil })
            json.key("checks")
            json.object { json in
                for check in checks {
                    if let fault = check.fault { json.field(check.name, fault) } else { json.field(check.name, true) }
                }
            }
        }
        return json.bytes
    }
}
