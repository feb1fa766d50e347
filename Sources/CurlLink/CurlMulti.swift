/// One curl multi, driven by epoll events and its own deadline.

import CCurl
import CEvents

final class CurlMulti {
    private unowned let loop: CurlLoop
    private let handle: UnsafeMutableRawPointer?
    private(set) var inFlight = 0
    let connections = CurlConnections()
    var lookups: CurlLookups { loop.lookups }
    var sockets: WatchedSockets { loop.sockets }
    /// When curl wants `CURL_SOCKET_TIMEOUT`; nil for never.
    fileprivate(set) var deadline: ContinuousClock.Instant?
    /// Something happened since the finished transfers were collected last.
    private(set) var isDirty = false

    init(loop: CurlLoop) {
        self.loop = loop
        handle = curl_multi_init()
        guard let handle else { return }
        let me = Unmanaged.passUnretained(self).toOpaque()
        _ = roost_multi_pointer(handle, CURLMOPT_SOCKETDATA, me)
        _ = roost_multi_pointer(handle, CURLMOPT_TIMERDATA, me)
        _ = roost_multi_socket(handle) { _, descriptor, what, me, _ in
            guard let me else { return 0 }
            let multi = Unmanaged<CurlMulti>.fromOpaque(me).takeUnretainedValue()
            let wanted: Int32 =
                switch what {
                case CURL_POLL_IN: Int32(ROOST_IN)
                case CURL_POLL_OUT: Int32(ROOST_OUT)
                case CURL_POLL_INOUT: Int32(ROOST_IN | ROOST_OUT)
                default: 0
                }
            multi.loop.sockets.watch(descriptor, wanted, for: multi)
            return 0
        }
        _ = roost_multi_timer(handle) { _, milliseconds, me in
            guard let me else { return 0 }
            let multi = Unmanaged<CurlMulti>.fromOpaque(me).takeUnretainedValue()
            multi.deadline = milliseconds < 0 ? nil : .now + .milliseconds(milliseconds)
            return 0
        }
        _ = roost_multi_long(handle, CURLMOPT_MAXCONNECTS, 256)
        _ = roost_multi_long(handle, CURLMOPT_PIPELINING, 0)
    }

    func add(_ transfer: CurlTransfer) -> HTTPFailure? {
        guard let handle else { return .other("out of memory") }
        let code = curl_multi_add_handle(handle, transfer.easy.raw)
        guard code == CURLM_OK else { return .other(String(cString: curl_multi_strerror(code))) }
        transfer.isAdded = true
        inFlight += 1
        isDirty = true
        return nil
    }

    func remove(_ transfer: CurlTransfer) {
        guard let handle, transfer.isAdded else { return }
        transfer.isAdded = false
        inFlight -= 1
        curl_multi_remove_handle(handle, transfer.easy.raw)
    }

    func act(on descriptor: Int32, what: Int32) {
        guard let handle else { return }
        var mask: Int32 = 0
        if what & Int32(ROOST_IN) != 0 { mask |= CURL_CSELECT_IN }
        if what & Int32(ROOST_OUT) != 0 { mask |= CURL_CSELECT_OUT }
        if what & Int32(ROOST_ERROR) != 0 { mask |= CURL_CSELECT_ERR }
        var running: Int32 = 0
        curl_multi_socket_action(handle, descriptor, mask, &running)
        isDirty = true
    }

    func actOnTimeout() {
        guard let handle else { return }
        deadline = nil
        var running: Int32 = 0
        // -1 is CURL_SOCKET_TIMEOUT, a macro with a cast that Swift does not see.
        curl_multi_socket_action(handle, -1, 0, &running)
        isDirty = true
    }

    /// Hands out what has finished.
    func collect(_ finish: (CurlTransfer, HTTPOutcome) -> Void) {
        guard let handle else { return }
        isDirty = false
        var left: Int32 = 0
        while let message = curl_multi_info_read(handle, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = roost_message_handle(message) else { continue }
            let result = roost_message_result(message)
            var me: UnsafeMutableRawPointer?
            _ = roost_get_pointer(easy, CURLINFO_PRIVATE, &me)
            guard let me else { continue }
            let transfer = Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue()
            if transfer.mustConnectAnew {
                remove(transfer)
                transfer.connectAnew()
                if let failure = add(transfer) { finish(transfer, .failure(failure)) }
            } else {
                finish(transfer, transfer.outcome(result))
            }
        }
    }

    /// A socket of this multi is about to be closed, in the cache or out of it.
    func closed(_ descriptor: Int32) {
        sockets.closed(descriptor)
        connections.forget(descriptor)
    }

    func close() {
        if let handle { curl_multi_cleanup(handle) }
    }
}
