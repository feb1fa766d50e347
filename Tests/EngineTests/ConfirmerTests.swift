import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// What a publisher may wait for, with a real replica.
@Suite struct ConfirmerTests {
    private func client(_ redis: TestRedis) -> RedisClient {
        RedisClient(url: redis.server.url, loop: redis.loop, logger: TestRedis.quiet)
    }

    /// A Redis that a replica can reach, on a port below those the system hands out by itself.
    private func listening() throws -> (TestRedis, port: Int) {
        for _ in 0..<10 {
            let port = Int.random(in: 20_000..<32_000)
            let words = ["--port", "\(port)", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
            if let redis = try? TestRedis(words) { return (redis, port) }
        }
        throw RedisError.notSent("no port is free")
    }

    @Test func replicasAreWaitedForAndMissingOnesSaid() async throws {
        let (master, port) = try listening()
        let replica = try TestRedis(["--replicaof", "127.0.0.1", "\(port)"])
        let connection = client(master)
        let confirmer = Confirmer(redis: connection, root: "roost:{0}")
        // The first answer waits for the replica's first synchronisation.
        #expect(await confirmer.hasReached(replicas: 1, deadline: .now + .seconds(30)))
        try await master.send("SET", "before", "1")
        #expect(await confirmer.hasReached(replicas: 1, deadline: .now + .seconds(10)))
        #expect(try await replica.send("GET", "before").string == "1")
        let (one, two) = await (
            confirmer.hasReached(replicas: 1, deadline: .now + .seconds(10)),
            confirmer.hasReached(replicas: 2, deadline: .now + .milliseconds(300))
        )
        #expect(one && !two)
        await replica.close()
        #expect(await !confirmer.hasReached(replicas: 1, deadline: .now + .milliseconds(300)))
        await connection.shutDown()
        await master.close()
    }

    @Test func syncedAlwaysIsNotGuessed() async throws {
        for (words, expected) in [
            (["--appendonly", "yes", "--appendfsync", "always"], true),
            (["--appendonly", "no", "--appendfsync", "always"], false),
            (["--appendonly", "yes", "--appendfsync", "everysec"], false),
        ] {
            let redis = try TestRedis(words)
            let connection = client(redis)
            #expect(await Confirmer(redis: connection, root: "r").syncsAlways() == expected, "\(words)")
            if expected {
                try await redis.send("ACL", "SETUSER", "default", "-config")
                #expect(await !Confirmer(redis: connection, root: "r").syncsAlways())
            }
            await connection.shutDown()
            await redis.close()
        }
    }
}
