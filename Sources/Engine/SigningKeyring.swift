/// The signing keys in force, shared by all deliveries.

import Domain
import Synchronization

package final class SigningKeyring: Sendable {
    private struct State {
        var keys: SigningKeys
        var signer: Signer
    }

    private let state: Mutex<State>

    package init(_ keys: SigningKeys) {
        state = Mutex(State(keys: keys, signer: Signer(keys: keys)))
    }

    /// Signs with the current key; made once for each key, not for each message.
    package var current: Signer { state.withLock { $0.signer } }
    package var keys: SigningKeys { state.withLock { $0.keys } }

    package func replace(_ keys: SigningKeys) {
        state.withLock { state in
            guard state.keys != keys else { return }
            state = State(keys: keys, signer: Signer(keys: keys))
        }
    }
}
