/// The thread of one line: epoll, the multis, and every transfer in them. Nothing here leaves the thread.
///
/// Why several multis: curl 7.88 walks a multi's whole connection cache whenever a handle is removed, so one multi
/// with 4,096 in flight costs three times what 32 with 128 each do. They are filled in order, so that a quiet server
/// uses the first one only and finds its warm connections there.

import CCurl
import CEvents
import Foundation

/// curl's global state, made once before the first thread.
let curlGlobal: Void = {
    // How long the C library asks a silent name server; what the environment says counts more.
    setenv("RES_OPTIONS", "timeout:2 attempts:2", 0)
    curl_global_init(Int(CURL_GLOBAL_DEFAULT))
}()

/// Wakes the thread out of epoll.
struct Bell: Sendable {
    let descriptor = roost_eventfd()
    func ring() { roost_eventfd_ring(descriptor) }
}

final class CurlLoop {
    static let perMulti = 128
    static let mostMultis = 64

    private let inbox: CurlThread
    private let bell: Bell
    private let settings: CurlSettings
    let epoll = roost_epoll_create()
    private var multis: [CurlMulti] = []
    let lookups = CurlLookups()
    private var owners: [Int32: CurlMulti] = [:]
    private var transfers: [UInt64: CurlTransfer] = [:]
    private var spare: [OpaquePointer] = []

    init(inbox: CurlThread, bell: Bell, settings: CurlSettings) {
        (self.inbox, self.bell, self.settings) = (inbox, bell, settings)
    }

    func run() {
        _ = roost_epoll_set(epoll, bell.descriptor, Int32(ROOST_IN))
        var events = [roost_event](repeating: roost_event(), count: 256)
        while true {
            let count = Int(roost_epoll_wait(epoll, &events, Int32(events.count), timeout()))
            var rang = false
            for event in events.prefix(count) {
                if event.fd == bell.descriptor {
                    rang = true
                } else {
                    owners[event.fd]?.act(on: event.fd, what: event.what)
                }
            }
            if rang {
                roost_eventfd_drain(bell.descriptor)
                if takeInbox() { break }
            }
            let now = ContinuousClock.now
            for multi in multis where multi.deadline.map({ $0 <= now }) ?? false { multi.actOnTimeout() }
            for multi in multis where multi.isDirty { multi.collect(finish) }
        }
        end()
    }

    /// Milliseconds until the first multi wants to be called, rounded up so that it is not called too early.
    private func timeout() -> Int32 {
        guard let first = multis.compactMap(\.deadline).min() else { return -1 }
        let left = (first - ContinuousClock.now).components
        if left.seconds < 0 || left.attoseconds < 0 { return 0 }
        return Int32(
            min(left.seconds * 1000 + (left.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000, 60_000))
    }

    /// True when the thread is to end.
    private func takeInbox() -> Bool {
        let inbox = inbox.take()
        for job in inbox.jobs { start(job) }
        for id in inbox.cancelled {
            guard let transfer = transfers[id] else { continue }
            finish(transfer, .failure(.cancelled))
        }
        return inbox.stopping
    }

    private func start(_ job: CurlClient.Job) {
        guard let easy = spare.popLast() ?? curl_easy_init().map({ OpaquePointer($0) }) else {
            return job.answer(.failure(.other("out of memory")))
        }
        let multi = roomyMulti()
        let transfer = CurlTransfer(job: job, easy: easy, multi: multi, settings: settings)
        transfers[job.id] = transfer
        if let failure = transfer.prepare() ?? multi.add(transfer) { finish(transfer, .failure(failure)) }
    }

    private func roomyMulti() -> CurlMulti {
        if let roomy = multis.first(where: { $0.inFlight < Self.perMulti }) { return roomy }
        guard multis.count >= Self.mostMultis, let least = multis.min(by: { $0.inFlight < $1.inFlight }) else {
            let multi = CurlMulti(loop: self)
            multis.append(multi)
            return multi
        }
        return least
    }

    private func finish(_ transfer: CurlTransfer, _ outcome: HTTPOutcome) {
        guard transfers.removeValue(forKey: transfer.job.id) != nil else { return }
        transfer.multi.remove(transfer)
        if spare.count < 512 { spare.append(transfer.easy) } else { curl_easy_cleanup(transfer.easy.raw) }
        transfer.release()
        transfer.job.answer(outcome)
    }

    func watch(_ descriptor: Int32, _ what: Int32, for multi: CurlMulti) {
        if what == 0 { owners.removeValue(forKey: descriptor) } else { owners[descriptor] = multi }
        _ = roost_epoll_set(epoll, descriptor, what)
    }

    private func end() {
        for transfer in Array(transfers.values) { finish(transfer, .failure(.cancelled)) }
        for job in inbox.take().jobs { job.answer(.failure(.cancelled)) }
        for easy in spare { curl_easy_cleanup(easy.raw) }
        for multi in multis { multi.close() }
        close(epoll)
    }
}

extension OpaquePointer {
    /// curl's handles are `void *` to Swift; typed here so that an easy one is never taken for a multi.
    var raw: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self) }
}
