import Domain
import Foundation
import HTTPAPI
import TestSupport
import Testing

/// The routes against the document that describes them; that the document is true of a running server is openapi.py's part.
@Suite struct RouteTests {
    /// Where the document describes a route. A new route does not compile before it has a line here.
    private func template(of route: Route) -> String {
        switch route {
        case .publish: "/v2/publish/{destination}"
        case .enqueue: "/v2/enqueue/{queue}/{destination}"
        case .batch: "/v2/batch"
        case .message: "/v2/messages/{messageId}"
        case .messages: "/v2/messages"
        case .deadLetters: "/v2/dlq"
        case .deadLetter: "/v2/dlq/{dlqId}"
        case .retryDead: "/v2/dlq/retry/{dlqId}"
        case .retryAllDead: "/v2/dlq/retry"
        case .events: "/v2/events"
        case .logs: "/v2/logs"
        case .queues: "/v2/queues"
        case .queue: "/v2/queues/{queue}"
        case .queueSwitch(_, let paused): "/v2/queues/{queue}/\(paused ? "pause" : "resume")"
        case .flows: "/v2/flowControl"
        case .flow: "/v2/flowControl/{key}"
        case .flowVerb(_, let verb): "/v2/flowControl/{key}/\(verb == "resetrate" ? "resetRate" : verb)"
        case .globalParallelism: "/v2/globalParallelism"
        case .newSchedule, .schedule: "/v2/schedules/{schedule}"
        case .schedules: "/v2/schedules"
        case .scheduleSwitch(_, let paused): "/v2/schedules/{schedule}/\(paused ? "pause" : "resume")"
        case .topics: "/v2/topics"
        case .topic: "/v2/topics/{group}"
        case .endpoints: "/v2/topics/{group}/endpoints"
        case .keys: "/v2/keys"
        case .rotateKeys: "/v2/keys/rotate"
        }
    }

    /// Paths of the document with their methods.
    private func documented() throws -> [String: Set<String>] {
        let file = Contract.top.appendingPathComponent("Sources/HTTPAPI/openapi.yaml")
        var found: [String: Set<String>] = [:]
        var path = ""
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            if line == "components:" || line == "webhooks:" { break }
            if line.hasPrefix("  /"), line.hasSuffix(":") {
                path = String(line.dropFirst(2).dropLast())
            } else if line.hasPrefix("    "), !line.hasPrefix("     "), line.hasSuffix(":"), !path.isEmpty {
                let word = line.dropFirst(4).dropLast().uppercased()
                if ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(word) { found[path, default: []].insert(word) }
            }
        }
        return found
    }

    @Test func everyRouteIsDocumentedWithItsMethods() throws {
        let documented = try documented()
        var seen: Set<String> = []
        for (method, target) in [
            ("POST", "/v2/publish/https://example.com"), ("POST", "/v2/enqueue/q/https://example.com"),
            ("POST", "/v2/batch"),
            ("GET", "/v2/messages/m"), ("DELETE", "/v2/messages"), ("GET", "/v2/dlq"), ("GET", "/v2/dlq/1-1"),
            ("POST", "/v2/dlq/retry/1-1"), ("POST", "/v2/dlq/retry"), ("GET", "/v2/events"), ("GET", "/v2/logs"),
            ("GET", "/v2/queues"), ("GET", "/v2/queues/q"), ("POST", "/v2/queues/q/pause"),
            ("POST", "/v2/queues/q/resume"),
            ("GET", "/v2/flowControl"), ("GET", "/v2/flowControl/k"), ("POST", "/v2/flowControl/k/pause"),
            ("POST", "/v2/flowControl/k/resume"), ("POST", "/v2/flowControl/k/pin"),
            ("POST", "/v2/flowControl/k/unpin"),
            ("POST", "/v2/flowControl/k/resetRate"), ("POST", "/v2/flowControl/k/reset"),
            ("GET", "/v2/globalParallelism"),
            ("POST", "/v2/schedules/https://example.com"), ("GET", "/v2/schedules/s"), ("GET", "/v2/schedules"),
            ("PATCH", "/v2/schedules/s/pause"), ("PATCH", "/v2/schedules/s/resume"), ("GET", "/v2/topics"),
            ("GET", "/v2/topics/t"), ("POST", "/v2/topics/t/endpoints"), ("GET", "/v2/keys"),
            ("POST", "/v2/keys/rotate"),
        ] {
            let (route, _) = try #require(Route.find(method, target), "\(target)")
            let template = template(of: route)
            #expect(documented[template]?.contains(method) == true, "\(method) \(template)")
            #expect(documented[template]?.isSuperset(of: route.methods) == true, "\(template): \(route.methods)")
            seen.insert(template)
        }
        let others = Set(documented.keys).subtracting(seen)
        #expect(others == ["/v1/publish/{destination}", "/health", "/ready", "/metrics", "/openapi.yaml"])
    }

    /// The target of most requests is told by its first bytes: it is what it would be, read segment by segment.
    @Test(arguments: [
        ("/v2/publish/https://x//y?a=%2F", "https://x//y?a=%2F", "v2"), ("/V1/PubLish/topic", "topic", "v1"),
        ("/v2/publish/", "", "v2"), ("/v2/publish//x", "/x", "v2"), ("/v2/publish/?x=/", "?x=/", "v2"),
        ("/v2/publish", "", "v2"), ("/v2/publish?delay=1", "?delay=1", "v2"), ("/v2/publish/é", "é", "v2"),
        ("/v3/publish/x", nil, ""), ("/v2/publishe/x", nil, ""), ("/v22publish/x", nil, ""), ("v2/publish/x", nil, ""),
    ])
    func aPublishIsToldByItsFirstBytes(_ target: String, _ remainder: String?, _ version: String) {
        let found = Route.find("POST", target)
        #expect(found?.route == remainder.map { .publish(remainder: $0) })
        #expect(found.map { $0.version == .v1 ? "v1" : "v2" } ?? "" == version)
    }
}
