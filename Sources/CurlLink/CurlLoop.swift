/// The thread of one line: epoll, the multis, and every transfer in them. Nothing here leaves the thread.
///
/// Why several multis: curl 7.88 walks a multi's whole connection cache whenever a handle is removed, so one multi
/// with 4,096 in flight costs three times what 32 with 128 each do. They are filled in order, so that a quiet server
/// uses the first one only and finds its warm connections there.
///
/// Why a waiting line: beyond `busy` in flight a request is begun only where no other can go on. An endpoint that answers
/// faster than this thread can ask needs few connections, and a thousand of them would cost twice the time each; one that
/// takes its time leaves the thread idle, and everything begins at once.

import CCurl
import CEvents
import Foundation

/// curl's global state, made once before the first thread.
let curlGlobal: Void = {
    // How long the C library asks a silent name server; what the environment says counts more.
    setenv("RES_OPTIONS", "timeout:2 attempts:2", 0)
    curl_global_init(Int(CURL_GLOBAL_DEFAULT))
}()

/// Wakes the thread out of epoll: each ring is an edge, and nobody has to read what has been rung.
struct Bell: Sendable {
    let descriptor = roost_eventfd()
    func ring() { roost_eventfd_ring(descriptor) }
}

final class CurlLoop {
    static let perMulti = 128
    static let mostMultis = 64
    /// Transfers in flight that more are added to only when there is nothing else to do, and then how many at once.
    static let busy = 128
    static let burst = 64

    private let inbox: CurlThread
    private let bell: Bell
    private let settings: CurlSettings
    let epoll = roost_epoll_create()
    private var multis: [CurlMulti] = []
    let lookups = CurlLookups()
    let sockets: WatchedSockets
    private var transfers: [UInt64: CurlTransfer] = [:]
    private var spare: [OpaquePointer] = []
    /// Those before `begun` have been started.
    private var line: [CurlClient.Job] = []
    private var begun = 0

    init(inbox: CurlThread, bell: Bell, settings: CurlSettings) {
        (self.inbox, self.bell, self.settings) = (inbox, bell, settings)
        sockets = WatchedSockets(epoll: epoll)
    }

    func run() {
        _ = roost_epoll_set(epoll, bell.descriptor, Int32(ROOST_IN | ROOST_EDGE))
        var events = [roost_event](repeating: roost_event(), count: 256)
        while true {
            let count = Int(roost_epoll_wait(epoll, &events, Int32(events.count), line.isEmpty ? timeout() : 0))
            var rang = false
            for event in events.prefix(count) {
                if event.fd == bell.descriptor {
                    rang = true
                } else {
                    sockets.owner(of: event.fd)?.act(on: event.fd, what: event.what)
                }
            }
            if rang, takeInbox() { break }
            startWaiting(isIdle: count == 0)
            // What was started asks to be called at once.
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
        if line.isEmpty { line = inbox.jobs } else { line += inbox.jobs }
        for id in inbox.cancelled {
            if let transfer = transfers[id] {
                finish(transfer, .failure(.cancelled))
            } else if let place = line[begun...].firstIndex(where: { $0.id == id }) {
                line.remove(at: place).answer(.failure(.cancelled))
            }
        }
        return inbox.stopping
    }

    private func startWaiting(isIdle: Bool) {
        // A few always: answers without end must not keep the thread from all others.
        let room = max(Self.busy - transfers.count, isIdle ? Self.burst : 4)
        for job in line[begun...].prefix(room) {
            begun += 1
            start(job)
        }
        if begun == line.count {
            (line, begun) = ([], 0)
        } else if begun > 1024 {
            line.removeFirst(begun)
            begun = 0
        }
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

    private func end() {
        for transfer in Array(transfers.values) { finish(transfer, .failure(.cancelled)) }
        for job in line[begun...] + inbox.take().jobs { job.answer(.failure(.cancelled)) }
        for easy in spare { curl_easy_cleanup(easy.raw) }
        for multi in multis { multi.close() }
        close(epoll)
    }
}

extension OpaquePointer {
    /// curl's handles are `void *` to Swift; typed here so that an easy one is never taken for a multi.
    var raw: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self) }
}
