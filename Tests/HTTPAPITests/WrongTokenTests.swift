import HTTPAPI
import Testing

@Suite struct WrongTokenTests {
    @Test func guessingGetsSlowerAndOthersDoNot() {
        let tokens = WrongTokens()
        let now = ContinuousClock.now
        for _ in 0..<10 { #expect(tokens.record("192.0.2.1", at: now).delay == .zero) }
        #expect(tokens.record("192.0.2.1", at: now).isFirstDelayed)
        #expect(tokens.record("192.0.2.1", at: now).delay == .milliseconds(100))
        for _ in 0..<20 { _ = tokens.record("192.0.2.1", at: now) }
        #expect(tokens.record("192.0.2.1", at: now).delay == .seconds(5))
        #expect(tokens.record("192.0.2.2", at: now).delay == .zero)
        #expect(tokens.record("::ffff:192.0.2.3", at: now).delay == .zero)
        // One is forgiven every six seconds.
        #expect(tokens.record("192.0.2.1", at: now + .seconds(400)).delay == .zero)
    }

    @Test func oneCallerHasAWholeNetworkOfIPv6() {
        let tokens = WrongTokens()
        let now = ContinuousClock.now
        for n in 0..<10 { _ = tokens.record("2001:db8::\(n)", at: now) }
        #expect(tokens.record("2001:db8::ffff", at: now).delay > .zero)
        #expect(tokens.record("2001:db8:0:1::", at: now).delay == .zero)
    }
}
