// A message as it is handed to a delivery, and one that is about to be stored.

package struct Message: Sendable, Hashable {
    package var id: MessageID
    package var record: MessageRecord
    package var body: [UInt8]
    /// Attempts made before this one.
    package var retried: Int
    /// How often a node died or lost its lease while it held the message, since the last settled attempt.
    package var reclaimed: Int

    package init(id: MessageID, record: MessageRecord, body: [UInt8], retried: Int = 0, reclaimed: Int = 0) {
        self.id = id
        self.record = record
        self.body = body
        self.retried = retried
        self.reclaimed = reclaimed
    }
}

/// A message that does not exist in Redis yet.
package struct NewMessage: Sendable, Hashable {
    package var id: MessageID
    package var record: MessageRecord
    package var body: [UInt8]
    /// When it may be delivered; never before the record's creation.
    package var due: Timestamp
    /// What its deduplication id is kept under; nil without one.
    package var dedup: String?

    package init(id: MessageID, record: MessageRecord, body: [UInt8], due: Timestamp, dedup: String? = nil) {
        self.id = id
        self.record = record
        self.body = body
        self.due = due
        self.dedup = dedup
    }

    package var lane: String { record.lane }
    /// What the scripts must know of the gates in front of it.
    package var gate: String { Lane.gate(of: record) }
}
