// The limits of contract conventions.md §8 with their defaults; configuration may set each.

package struct Limits: Sendable, Hashable {
    /// Bytes of a message body; over it 413.
    package var maxMessageBytes = 1 << 20
    /// Bytes of the headers of a request, or of a batch item.
    package var maxHeaderBytes = 64 << 10
    /// Items of a batch: what is known of each stays in memory until the last one was checked.
    package var maxBatchItems = 100_000
    /// Bytes of a batch request.
    package var maxBatchBytes = 100_000_000
    /// Seconds, for delay and not-before; over it 412.
    package var maxDelay: Int64 = 31_536_000
    package var maxRetries: Int64 = 100
    /// Retries of a message that does not say.
    package var defaultRetries: Int64 = 3
    /// Seconds of one attempt, also the default; over it 412.
    package var maxTimeout: Int64 = 7200
    /// Seconds before one retry; a longer one is cut, a longer `Retry-After` ignored.
    package var maxRetryDelay: Int64 = 86_400
    /// Seconds.
    package var maxFlowControlPeriod: Int64 = 604_800
    package var maxURLBytes = 8192
    /// Bytes kept of a response body.
    package var maxResponseBytes = 1 << 20
    /// Bytes of response headers; more is a failed attempt.
    package var maxResponseHeaderBytes = 300_000
    package var maxFlowControlKeyBytes = 1024
    /// Endpoints of one URL group; over it 412.
    package var maxEndpoints: Int64 = 1000
    package var maxBulkCancel = 500
    package var maxDLQCount = 100
    package var maxEventsCount = 1000
    package var maxLogsCount = 1000
    package var defaultLogsCount = 100
    /// How many there may be; nil for any number; over it 412.
    package var maxQueues: Int64?
    package var maxQueueParallelism: Int64?
    package var maxSchedules: Int64?
    package var maxTopics: Int64?

    package init() {}
}
