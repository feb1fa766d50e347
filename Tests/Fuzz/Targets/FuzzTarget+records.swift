// What Redis gives back: records that an older or newer version, or a person, may have written.

import Domain

extension FuzzTarget {
    /// What must hold of a record that we made: it comes back from its JSON as it was.
    static func record(_ record: MessageRecord) throws {
        let text = record.encode()
        let again = try MessageRecord.decode(text)
        try hold(again == record, "read again the record is \(again)")
        // Texts are equal in more than one spelling; bytes are not.
        try hold(again.encode() == text, "written again the record differs")
        try hold(record.lane == again.lane, "it waits in another lane: \(again.lane)")
    }

    static func messageRecord(_ bytes: [UInt8]) throws {
        guard let record = try? MessageRecord.decode(bytes), depth(record) <= 41 else { return }
        try self.record(record)
        let message = Message(id: MessageID("msg_1"), record: record, body: bytes)
        _ = try JSONValue.read(MessageView.json(of: message))
        for outcome in [Outcome.noResponse(reason: "refused"), .response(status: 204, body: bytes)] {
            for callback in NextStep.after(outcome, of: message, at: now, dlqId: "1-1").callbacks {
                _ = try JSONValue.read(callback.body)
                try self.record(callback.record)
            }
        }
    }

    /// Callbacks inside callbacks: a publish allows 40.
    private static func depth(_ record: MessageRecord) -> Int {
        func depth(_ settings: CallbackSettings?) -> Int {
            guard let settings else { return 0 }
            return 1 + max(depth(settings.callback), depth(settings.failureCallback))
        }
        return max(depth(record.callback), depth(record.failureCallback))
    }

    static func scheduleRecord(_ bytes: [UInt8]) throws {
        let input = LinedInput(bytes, hasFirst: false)
        var fields: [String: [UInt8]] = [:]
        for (name, value) in input.fields { fields[name] = value }
        if !input.body.isEmpty { fields["body"] = input.body }
        let schedule: Schedule
        do throws(JSONError) {
            schedule = try Schedule.decode(id: "scd_1", fields: fields, states: [("msg_1", "FAIL"), ("msg_2", "X")])
        } catch {
            let unreadable = Schedule.unreadable(id: "scd_1", fields: fields, because: error.description)
            _ = try JSONValue.read(unreadable.json(now: now))
            return
        }
        guard depth(schedule.template) <= 41 else { return }
        try record(schedule.template)
        _ = try JSONValue.read(schedule.json(now: now))
        // Not one by one for years: a run counts what it missed.
        guard now.milliseconds(since: schedule.next) < 86_400_000 else { return }
        let run = schedule.run(at: now, topic: nil)
        try hold(run.missed >= 0, "\(run.missed) runs missed")
        if let next = run.next { try hold(next > min(schedule.next, now), "the next run is not later") }
        for message in run.messages { try record(message.record) }
    }

    static func topicRecord(_ bytes: [UInt8]) throws {
        let input = LinedInput(bytes, hasFirst: false)
        var fields: [String: [UInt8]] = [:]
        for (name, value) in input.fields { fields[name] = value }
        guard let topic = try? Topic.decode(name: "t", fields: fields) else { return }
        _ = try JSONValue.read(topic.json)
        fields["endpoints"] = topic.endpointsText
        fields["headers"] = topic.headersText
        let again = try Topic.decode(name: "t", fields: fields)
        try hold(again.endpoints == topic.endpoints, "read again its endpoints are \(again.endpoints)")
        try hold(again.headers ?? [:] == topic.headers ?? [:], "read again its headers differ")
    }
}
