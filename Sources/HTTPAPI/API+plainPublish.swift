/// The short way of the request that comes most: one message to a URL, right in everything, under nothing that waits.
///
/// It is read where it arrives, on the thread of its connection, and its answer is written when the store has it: no task and no
/// thread between (`ops/bench.d/NOTES.md`, "What was tried"). It decides nothing of its own: whatever is not plain, and whatever
/// is wrong, goes the usual way, which reads it again and words the answer.

import Domain
import Engine

extension API {
    /// Takes a plain publish and answers it later; false, with nothing done, for any other request. `answer` is called once, on
    /// any thread.
    package func takePlainPublish(
        _ request: APIRequest, _ answer: @escaping @Sendable (APIResponse) -> Void
    ) -> Bool {
        guard let (publish, version) = plainPublish(request) else { return false }
        let promised = publish.promised
        store.publish(publish.item) { result in
            var response: APIResponse
            do throws(RequestError) {
                // It has no topic that could change.
                guard let told = try promised.told(try self.stored(result), limits: self.settings.limits)
                else { throw .internalError }
                response = APIResponse(status: told.status(version: version), json: told.json)
                response.headers.append(("Roost-Ack", AckLevel.memory.description))
            } catch {
                response = APIResponse(error)
            }
            self.metrics.count(status: response.status)
            answer(response)
        }
        return true
    }

    private func plainPublish(_ request: APIRequest) -> (CheckedPublish, APIVersion)? {
        guard settings.ack == .memory, settings.rateLimit.daily == nil,
            // A larger one is hashed before it is stored, which is not for the thread of a connection.
            request.body.count <= store.settings.largeBodyBytes,
            let (route, version) = Route.find(request.method, request.target), case .publish(let remainder) = route,
            route.methods.contains(request.method), request.header("Roost-Ack") == nil
        else { return nil }
        do throws(RequestError) {
            let access = try authenticator.authenticate(
                authorization: request.header("Authorization"), queryToken: Self.queryToken(request.target))
            try access.require(route.scope(request.method))
            let source = try source(request, remainder: remainder, access: access, version: version)
            guard case .url = source.destination else { return nil }
            let checked = try check(source, topic: nil)
            return checked.request.newSchedule() == nil ? (checked, version) : nil
        } catch {
            return nil
        }
    }
}
