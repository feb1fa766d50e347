// The items of a batch as they came (contract publish.md §8): shapes only, the values are read like those of a publish.

package struct BatchItem: Sendable {
    package var destination: Destination
    package var headers: HeaderMap
    package var queue: String?
    private var slice: JSONSlice?

    /// The body of the item, made anew by each call from the body of the batch it came in: so that a large batch is in
    /// memory once and not twice.
    package func body(in batch: [UInt8]) -> [UInt8] { slice.map { JSONReader.text(at: $0, of: batch) } ?? [] }

    /// All items in their order; unknown keys are ignored. Throws 400 for the first that is malformed, by its number.
    package static func list(body: [UInt8], limits: Limits = Limits()) throws(RequestError) -> [BatchItem] {
        guard UTF8Text.isValid(body) else { throw .badRequest("invalid JSON body: not valid UTF-8") }
        var items: [BatchItem] = []
        var reader = JSONReader(bytes: body)
        do throws(JSONElementsError) {
            try reader.elements(deferring: "body") { element, slice throws(RequestError) in
                if items.count == limits.maxBatchItems {
                    throw .quota("maxBatchItems", limit: Int64(limits.maxBatchItems), status: 413)
                }
                do throws(RequestError) {
                    items.append(try BatchItem(element, slice, limits: limits))
                } catch {
                    throw error.inBatch(item: items.count)
                }
            }
        } catch {
            switch error {
            case .json(let error): throw .badRequest("invalid JSON body: \(error.description)")
            case .visit(let error): throw error
            }
        }
        return items
    }

    private init(_ value: JSONValue, _ slice: JSONSlice?, limits: Limits) throws(RequestError) {
        do {
            let members = try JSONMembers(value, of: "item")
            let text = try members.optionalString("destination") ?? ""
            headers = try members.header("headers")
            // Its text, if it has one, is the slice.
            _ = try members.optionalString("body")
            self.slice = slice
            let name = try members.optionalString("queue") ?? ""
            queue = name.isEmpty ? nil : name
            destination = try DestinationParser.parse(plain: text, limits: limits)
        } catch let error as RequestError {
            throw error
        } catch {
            throw .badRequest("\(error)")
        }
        // As many as a request of its own could carry.
        let bytes = headers.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        if bytes > limits.maxHeaderBytes { throw .badRequest("headers larger than \(limits.maxHeaderBytes) bytes") }
        if let queue { try NameGrammar.check(queue, kind: "queue") }
    }
}

extension RequestError {
    /// The same error with the place of its item, counted from 0 as a program counts the array it sent.
    package func inBatch(item index: Int) -> RequestError {
        RequestError(status: status, text: "item \(index): \(text)", headers: headers)
    }

    /// True where an item of a batch is well formed and still can't be published: then only it fails.
    package var concernsOneItem: Bool { status == 404 || status == 412 || status == 413 }
}
