/// What epoll watches for which multi. curl takes a socket out after each answer and puts it back for the next request; one of
/// a connection stays in, so that a request on an open connection needs no call of the system for that.

import CEvents
import Foundation

/// Of one curl thread.
final class WatchedSockets {
    private struct Entry {
        /// Nil while curl waits for nothing there.
        var multi: CurlMulti?
        /// What epoll looks for now.
        var mask: Int32 = 0
        /// Made by `opened`, so that `closed` will be told its end; others are closed unseen (curl's resolver has some).
        var isConnection = false
    }

    private let epoll: Int32
    /// By descriptor.
    private var entries: [Entry] = []

    init(epoll: Int32) { self.epoll = epoll }

    func opened(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        grow(descriptor)
        entries[Int(descriptor)] = Entry(isConnection: true)
    }

    /// Before the descriptor is given back to the system, which takes it out of epoll.
    func closed(_ descriptor: Int32) {
        guard descriptor >= 0, descriptor < entries.count else { return }
        entries[Int(descriptor)] = Entry()
    }

    /// - Parameter what: ROOST_IN and ROOST_OUT, 0 for nothing any more.
    func watch(_ descriptor: Int32, _ what: Int32, for multi: CurlMulti) {
        guard descriptor >= 0 else { return }
        grow(descriptor)
        let index = Int(descriptor)
        guard what != 0 else {
            entries[index].multi = nil
            if entries[index].isConnection, entries[index].mask == Int32(ROOST_IN) { return }
            return set(index, 0)
        }
        entries[index].multi = multi
        if entries[index].mask != what || !entries[index].isConnection { set(index, what) }
    }

    /// Who waits for an event there. One that nobody waits for came on an idle connection, which is then left alone.
    func owner(of descriptor: Int32) -> CurlMulti? {
        guard descriptor >= 0, descriptor < entries.count else { return nil }
        if let multi = entries[Int(descriptor)].multi { return multi }
        if entries[Int(descriptor)].mask != 0 { set(Int(descriptor), 0) }
        return nil
    }

    private func set(_ index: Int, _ what: Int32) {
        entries[index].mask = what
        _ = roost_epoll_set(epoll, Int32(index), what)
    }

    private func grow(_ descriptor: Int32) {
        while entries.count <= descriptor { entries.append(Entry()) }
    }
}
