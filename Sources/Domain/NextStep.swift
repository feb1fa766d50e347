// The decision after an attempt: what becomes of the message and which callback messages are born. Applied by the
// script `settle` in the same act that ends the attempt.

package struct NextStep: Sendable, Hashable {
    package enum Decision: Sendable, Hashable {
        case delivered
        case retry(at: Timestamp)
        case dead(dlqId: String)
    }

    /// What happens instead where a cancel was asked for while the attempt ran (contract messages.md §3).
    package enum Cancelled: Sendable, Hashable {
        /// It succeeded: the decision and its callbacks stand.
        case asDecided
        /// It failed: ended, without retry, dead letter or callback.
        case canceled
    }

    package let decision: Decision
    /// Callback first, then failure callback.
    package let callbacks: [NewMessage]
    package let asCancelled: Cancelled

    package init(decision: Decision, callbacks: [NewMessage], asCancelled: Cancelled) {
        self.decision = decision
        self.callbacks = callbacks
        self.asCancelled = asCancelled
    }

    /// - `now`: the end of the attempt; retries count from it.
    /// - `dlqId`: the id the dead letter gets if this was the last attempt, `<unix ms>-<sequence>`. Chosen before the
    ///   script runs because the failure callback names it.
    package static func after(
        _ outcome: Outcome, of message: Message, at now: Timestamp, dlqId: String, limits: Limits = Limits(),
        callbackFormat: CallbackFormat = .observed
    ) -> NextStep {
        let decision = decide(outcome, of: message, at: now, dlqId: dlqId, limits: limits)
        let envelope = CallbackEnvelope(message: message, outcome: outcome, format: callbackFormat)
        var callbacks: [NewMessage] = []
        if let settings = message.record.callback {
            callbacks.append(settings.message(about: message, body: envelope.encode(dlqId: nil), at: now))
        }
        if case .dead = decision, let settings = message.record.failureCallback {
            callbacks.append(settings.message(about: message, body: envelope.encode(dlqId: dlqId), at: now))
        }
        return NextStep(
            decision: decision, callbacks: callbacks, asCancelled: outcome.isSuccess ? .asDecided : .canceled)
    }

    private static func decide(
        _ outcome: Outcome, of message: Message, at now: Timestamp, dlqId: String, limits: Limits
    ) -> Decision {
        if outcome.isSuccess { return .delivered }
        if outcome.isNonRetryable || message.retried >= message.record.retries { return .dead(dlqId: dlqId) }
        let delay = retryDelay(after: outcome, of: message, at: now, limits: limits)
        return .retry(at: now.adding(milliseconds: delay))
    }

    /// Milliseconds; the first rule of contract delivery.md §5 that applies.
    private static func retryDelay(
        after outcome: Outcome, of message: Message, at now: Timestamp, limits: Limits
    ) -> Int64 {
        let longest = Saturating.multiply(limits.maxRetryDelay, 1000)
        if let headers = outcome.response?.headers,
            let delay = RetryAfter.delay(in: headers, now: now, longest: longest)
        {
            return delay
        }
        if let text = message.record.retryDelay, let expression = try? RetryDelayExpression(text),
            let delay = expression.evaluate(retried: message.retried, longest: longest)
        {
            return delay
        }
        return Backoff.delay(retry: Saturating.add(Int64(message.retried), 1), longest: longest)
    }
}

extension CallbackSettings {
    /// The callback message of one attempt (contract callbacks.md §5): an ordinary message that inherits nothing but
    /// the caller's address, the version and, unless said otherwise, the number of retries.
    func message(about source: Message, body: [UInt8], at now: Timestamp) -> NewMessage {
        var header: HeaderMap = ["Content-Type": "application/json"]
        for entry in self.header.entries where entry.name != "Content-Type" { header.set(entry.name, entry.values) }
        let due = max(now, notBefore ?? now.adding(seconds: Int64(delay ?? 0)))
        let record = MessageRecord(
            url: url, method: method, header: header, retries: retries ?? source.record.retries,
            retryDelay: retryDelay, timeout: timeout, callback: callback, failureCallback: failureCallback,
            labels: labels, flowControl: flowControl,
            // An envelope holds what its source hides, and the headers for the callback are hidden by their names there.
            redaction: source.record.redaction.map {
                Redaction(body: true, allHeaders: $0.hidesAllHeaders, headers: $0.headers).sealing(body)
            },
            trace: source.record.trace, version: source.record.version, callerIP: source.record.callerIP,
            createdAt: now, notBefore: due)
        return NewMessage(id: MessageID.make(now: now), record: record, body: body, due: due)
    }
}
