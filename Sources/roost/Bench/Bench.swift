/// `roost bench`: what a message costs and how late it is, measured from outside on this machine.

import ArgumentParser
import CurlLink
import Domain
import Foundation
import Histogram
import RedisLink

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish to a server of its own, receive in a sink of its own, report rates, latencies and CPU.",
        discussion: """
            Starts a redis-server (append-only file, everysec) and a `roost serve` as processes of their own, so that the CPU
            time of each is its own. Publishing is a closed loop of --concurrency callers, or an open loop with --rate.

            EXAMPLES
              roost bench
              roost bench --rate 1000 --messages 20000 --delay 3   delayed messages
              roost bench --messages 100000 --due-in 30            due in the same second
              roost bench --hang 1000 --rate 200 --messages 2000   beside hanging requests
              roost bench --queues 1000                            FIFO queues
              roost bench --schedules --messages 10000             in the same minute
            """,
        version: Roost.version)

    @Option(help: "Messages to publish.")
    var messages = 20_000
    @Option(help: "Callers that publish at the same time.")
    var concurrency = 64
    @Option(
        help: "Open loop: publishes started a second, whether or not earlier ones were answered; 0 is a closed loop.")
    var rate = 0
    @Option(help: "Bytes of each body.")
    var size = 128
    @Option(help: "Delay of each message, seconds.")
    var delay = 0
    @Option(name: .customLong("due-in"), help: "All messages become due together, so many seconds after the start.")
    var dueIn = 0
    @Option(help: "Requests that hang in the sink, on another host, before the measurement begins.")
    var hang = 0
    @Option(name: .customLong("hang-hosts"), help: "Over how many hosts they are spread.")
    var hangHosts = 1
    @Option(help: "Enqueue into so many queues in turn.")
    var queues = 0
    @Option(help: "Give the messages so many flow-control keys in turn.")
    var keys = 0
    @Option(name: .customLong("key-value"), help: "The limits of each key.")
    var keyValue = "parallelism=10"
    @Flag(help: "Make each message a schedule that runs at the next whole minute that leaves time to make them all.")
    var schedules = false
    @Flag(help: "A callback for each message.")
    var callback = false
    @Flag(help: "Only publish, far in the future: Redis memory for each waiting message.")
    var waiting = false
    @Flag(help: "The report as JSON.")
    var json = false

    func validate() throws {
        for (name, value, least) in [
            ("messages", messages, 1), ("concurrency", concurrency, 1), ("rate", rate, 0), ("size", size, 0),
            ("delay", delay, 0),
            ("due-in", dueIn, 0), ("hang", hang, 0), ("hang-hosts", hangHosts, 1), ("queues", queues, 0),
            ("keys", keys, 0),
        ] where value < least { throw ValidationError("--\(name) must be at least \(least)") }
        if size > 1 << 20 { throw ValidationError("--size must be at most 1048576") }
        if hangHosts > 250 { throw ValidationError("--hang-hosts must be at most 250") }
    }

    func run() async throws {
        Resources.raiseDescriptorLimit()
        let sink = try await BenchSink()
        let server = try BenchServer()
        defer { server.close() }
        let load = BenchLoad(bench: self, server: server, sink: sink)
        try await server.waitUntilReady(load.client)
        if hang > 0 { try await load.startHanging() }
        let redisMemory = try await server.redisMemory()
        let started = ContinuousClock.now
        let before = try await server.cpu()
        let published = try await load.publish()
        let publishTime = ContinuousClock.now - started
        let expected = waiting ? 0 : messages * (callback ? 2 : 1)
        try await sink.wait(for: expected, patience: .seconds(schedules ? 120 : 60))
        let total = ContinuousClock.now - started
        let after = try await server.cpu()
        let report = BenchReport(
            bench: self, published: published, publishTime: publishTime, totalTime: total, arrivals: sink.arrivals,
            arrivalTime: sink.span, serverCPU: after.server - before.server, redisCPU: after.redis - before.redis,
            memoryPerMessage: waiting ? Double(try await server.redisMemory() - redisMemory) / Double(messages) : nil,
            serverMemory: server.residentBytes)
        print(json ? report.json : report.text)
        load.client.shutDown()
        await sink.close()
    }
}
