// The body of a bulk act, `{"messageIds":["…"]}`: it never means "all" by accident.

package enum BulkIDs {
    /// Nil where there is no body at all, not a byte. Throws 400 for everything else than the one field with an array of texts.
    package static func read(_ body: [UInt8], field: String) throws(RequestError) -> [String]? {
        if body.isEmpty { return nil }
        let value: JSONValue
        do { value = try JSONValue.read(body) } catch { throw .badRequest("invalid JSON body: \(error.description)") }
        guard let object = value.object else { throw .badRequest("invalid JSON body: not an object") }
        for member in object.members where member.key != field {
            throw .badRequest("invalid JSON body: unknown field \"\(member.key.prefix(100))\"")
        }
        guard let elements = object[field]?.array else {
            throw .badRequest("\(field) must be an array of ids")
        }
        var ids: [String] = []
        for element in elements {
            guard let id = element.string else { throw .badRequest("\(field) must be an array of ids") }
            ids.append(id)
        }
        return ids
    }
}
