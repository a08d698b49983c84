import Resources
import Store
import Wire

// Watches and logs: answers that go on.
extension APICall {
    // MARK: Watch

    /// Follows changes, one JSON object a line, until the time is over or the caller goes.
    func watch(only name: String? = nil) async throws -> HTTPResponse {
        var (labels, fields) = try selectors()
        if let name { fields.requirements += FieldSelector(name: name).requirements }
        let sendsInitial = Self.isTrue(request.queryValue("sendInitialEvents"))
        let wantsBookmarks = Self.isTrue(request.queryValue("allowWatchBookmarks"))
        let start = try await startRevision(sendsInitial: sendsInitial)
        let events = try await store.watch(
            type,
            namespace: target.namespace,
            WatchOptions(
                labels: labels,
                fields: fields,
                revision: start,
                marksInitialEnd: sendsInitial && wantsBookmarks
            )
        )
        // Without a wish half an hour to an hour, by chance, so that many clients do not come back at once.
        let asked = request.queryValue("timeoutSeconds").flatMap { Int($0) } ?? 0
        let seconds = asked > 0 ? min(asked, 86400) : Int.random(in: 1800...3600)
        let lines = WatchLines(
            form: AnswerForm(request),
            type: type,
            wantsBookmarks: wantsBookmarks,
            clock: api.clock,
            older: target.older
        )
        return HTTPResponse(
            status: 200,
            headers: ["Content-Type": "application/json"],
            body: .stream { writer in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await lines.write(events, to: writer) }
                    group.addTask { try await Task.sleep(for: .seconds(seconds)) }
                    _ = try await group.next()
                    group.cancelAll()
                }
            }
        )
    }

    // MARK: Logs

    /// `pods/x/log`: the lines of one container as text.
    func log(_ key: ObjectKey) async throws -> HTTPResponse {
        guard request.method == "GET" else { throw KubernetesAPI.wrongMethod }
        guard let logs = api.logs else { throw APIError.unavailable("no agent runs here that keeps logs") }
        let pod = try await store.get(key)
        let container = try container(of: pod)
        let options = try logOptions()
        let pieces = try await logs.logs(of: pod, container: container, options: options)
        let limit = options.limitBytes ?? Int.max
        return HTTPResponse(
            status: 200,
            headers: ["Content-Type": "text/plain; charset=utf-8"],
            body: .stream { writer in
                var left = limit
                for try await piece in pieces {
                    guard left > 0 else { return }
                    try await writer.write(piece.count > left ? Array(piece.prefix(left)) : piece)
                    left -= min(piece.count, left)
                }
            }
        )
    }

    func container(of pod: Object) throws(APIError) -> String {
        let spec = PodSpec(pod.spec)
        let names = (spec.containers + spec.initContainers).map(\.name)
        guard let wanted = request.queryValue("container"), !wanted.isEmpty else {
            if let name = pod.annotation("kubectl.kubernetes.io/default-container"), names.contains(name) {
                return name
            }
            if spec.containers.count == 1, let only = spec.containers.first { return only.name }
            throw .badRequest(
                "a container name must be specified for pod \(pod.name), choose one of: [\(names.joined(separator: " "))]"
            )
        }
        guard names.contains(wanted) else {
            throw .badRequest(
                "container \(wanted) is not valid for pod \(pod.name), choose one of: [\(names.joined(separator: " "))]"
            )
        }
        return wanted
    }

    private func logOptions() throws(APIError) -> PodLogOptions {
        func number(_ name: String) throws(APIError) -> Int? {
            guard let text = request.queryValue(name), !text.isEmpty else { return nil }
            guard let number = Int(text), number >= 0 else {
                throw .badRequest("\(name): Invalid value: \"\(text.prefix(40))\": must be a whole number of 0 or more")
            }
            return number
        }
        var options = PodLogOptions()
        options.follow = Self.isTrue(request.queryValue("follow"))
        options.followsRestarts = options.follow && Self.isTrue(request.queryValue("followRestarts"))
        options.previous = Self.isTrue(request.queryValue("previous"))
        switch request.queryValue("stream") {
        case "Stdout"?: options.stream = .output
        case "Stderr"?: options.stream = .errors
        case nil, "All"?, ""?: break
        case let other?:
            throw .badRequest("stream: Invalid value: \"\(other.prefix(40))\": must be All, Stdout or Stderr")
        }
        options.timestamps = Self.isTrue(request.queryValue("timestamps"))
        options.tailLines = try number("tailLines")
        options.limitBytes = try number("limitBytes")
        if let seconds = try number("sinceSeconds") {
            options.since = api.clock().adding(seconds: -min(seconds, 1 << 40))
        } else if let text = request.queryValue("sinceTime"), !text.isEmpty {
            guard let time = Timestamp(text) else {
                throw .badRequest("sinceTime: Invalid value: \"\(text.prefix(40))\"")
            }
            options.since = time
        }
        return options
    }
}

/// Writes watch events as lines.
struct WatchLines: Sendable {
    let form: AnswerForm
    let type: ResourceType
    let wantsBookmarks: Bool
    let clock: @Sendable () -> Timestamp
    var older: OlderVersion?

    func write(_ events: WatchEvents, to writer: BodyWriter) async throws {
        var isFirst = true
        var shown = ShownRows()
        do {
            for try await event in events {
                if event.kind == .bookmark, !wantsBookmarks { continue }
                guard let line = line(event, isFirst: isFirst, &shown) else { continue }
                try await writer.write(line)
                isFirst = false
            }
        } catch let error as APIError {
            try await writer.write(Self.bytes("ERROR", error.status))
        }
    }

    /// Nil when there is nothing new to show.
    private func line(_ event: WatchEvent, isFirst: Bool, _ shown: inout ShownRows) -> [UInt8]? {
        guard event.kind != .bookmark else {
            var bookmark = event.object
            if let older { bookmark.apiVersion = older.apiVersion }
            return Self.bytes(event.kind.rawValue, bookmark.value)
        }
        let object = type.custom?.shown(event.object, apiVersion: type.apiVersion) ?? event.object
        switch form {
        case .table(let including):
            var rows = Table.make([object], of: type, at: clock())
            guard shown.reduce(&rows, event) else { return nil }
            var table = rows.value(including: including, revision: object.resourceVersion)
            // Only the first table of a stream says which columns it has.
            if !isFirst { table["columnDefinitions"] = [] }
            return Self.bytes(event.kind.rawValue, table)
        case .metadata: return Self.bytes(event.kind.rawValue, Table.partial(object))
        case .json, .yaml:
            var line = Array(#"{"type":"\#(event.kind.rawValue)","object":"#.utf8)
            let text = older.map { JSON.bytes($0.outward(object.value)) } ?? object.json
            line.reserveCapacity(line.count + text.count + 2)
            line += text
            line += [UInt8(ascii: "}"), UInt8(ascii: "\n")]
            return line
        }
    }

    private static func bytes(_ kind: String, _ object: Value) -> [UInt8] {
        JSON.bytes(["type": .string(kind), "object": object]) + [UInt8(ascii: "\n")]
    }
}

/// The rows that a watcher of a table has, of kinds of which an object is several rows: it is told only what is new.
private struct ShownRows {
    private var gists: [String: [[Value]]] = [:]

    /// Leaves the rows of a change that say something new; false when there are none.
    mutating func reduce(_ table: inout Table, _ event: WatchEvent) -> Bool {
        guard table.rows.contains(where: { $0.gist != nil }) else { return true }
        let key = "\(event.object.namespace)/\(event.object.name)"
        guard event.kind != .deleted else {
            gists[key] = nil
            return true
        }
        let known = gists.updateValue(table.rows.compactMap(\.gist), forKey: key) ?? []
        if event.kind == .modified { table.rows.removeAll { row in row.gist.map(known.contains) ?? false } }
        return !table.rows.isEmpty
    }
}
