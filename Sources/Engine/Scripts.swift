/// The Lua transitions of `lua/`, embedded in the binary when it is built and prepended with `prelude.lua`, `log.lua` and
/// `messages.lua`, those that give messages with `taking.lua` and those that read lists with `reading.lua`, too.

import RedisLink

/// One script per transition; the header of each file in `lua/` says what it takes, answers and writes.
package enum Scripts {
    package static let publish = load("publish", PackageResources.publish_lua, with: PackageResources.taking_lua)
    package static let promote = load("promote", PackageResources.promote_lua)
    package static let claim = load("claim", PackageResources.claim_lua, with: PackageResources.taking_lua)
    package static let settle = load("settle", PackageResources.settle_lua)
    package static let handBack = load("hand_back", PackageResources.hand_back_lua)
    package static let renew = load("renew", PackageResources.renew_lua)
    package static let reclaim = load("reclaim", PackageResources.reclaim_lua)
    package static let cancel = load("cancel", PackageResources.cancel_lua)
    package static let countCall = load("count_call", PackageResources.count_call_lua)
    package static let deadDrop = load("dead_drop", PackageResources.dead_drop_lua)
    package static let deadRetry = load("dead_retry", PackageResources.dead_retry_lua)
    package static let keysRotate = load("keys_rotate", PackageResources.keys_rotate_lua)
    package static let list = load("list", PackageResources.list_lua, with: PackageResources.reading_lua)
    package static let logScan = load("log_scan", PackageResources.log_scan_lua, with: PackageResources.reading_lua)
    package static let logGet = load("log_get", PackageResources.log_get_lua, with: PackageResources.reading_lua)
    package static let logHistory = load(
        "log_history", PackageResources.log_history_lua, with: PackageResources.reading_lua)
    package static let logShed = load("log_shed", PackageResources.log_shed_lua)
    package static let topicEdit = load("topic_edit", PackageResources.topic_edit_lua)
    package static let schedulePut = load("schedule_put", PackageResources.schedule_put_lua)
    package static let scheduleSet = load("schedule_set", PackageResources.schedule_set_lua)
    package static let scheduleDue = load("schedule_due", PackageResources.schedule_due_lua)
    package static let scheduleFire = load("schedule_fire", PackageResources.schedule_fire_lua)
    package static let gateSet = load("gate_set", PackageResources.gate_set_lua)
    package static let gateRead = load("gate_read", PackageResources.gate_read_lua)
    package static let queueDelete = load("queue_delete", PackageResources.queue_delete_lua)
    package static let measure = load("measure", PackageResources.measure_lua)
    package static let statsAdd = load("stats_add", PackageResources.stats_add_lua)
    package static let statsRead = load("stats_read", PackageResources.stats_read_lua)
    package static let lanes = load("lanes", PackageResources.lanes_lua)
    package static let why = load("why", PackageResources.why_lua)
    package static let collect = load("collect", PackageResources.collect_lua)

    private static func load(_ name: String, _ body: [UInt8], with part: [UInt8] = []) -> Script {
        let prelude =
            PackageResources.prelude_lua + PackageResources.log_lua + PackageResources.messages_lua + part
        return Script(name: name, source: compose(prelude: prelude, body: body))
    }

    /// The final text: a `#!lua` line of the script stays first, then the prelude, then the rest.
    package static func compose(prelude: [UInt8], body: [UInt8]) -> String {
        let text = String(decoding: body, as: UTF8.self)
        let shared = String(decoding: prelude, as: UTF8.self)
        guard text.hasPrefix("#!"), let end = text.firstIndex(of: "\n") else { return shared + text }
        return text[...end] + shared + text[text.index(after: end)...]
    }
}
