import EnvoyAPI
import Wire

/// Reads responses.
extension DiscoverySession {
    /// A message of the server.
    enum Received {
        /// To be tried, and then settled.
        case update(DiscoveryUpdate)
        /// Of a kind that nobody asked for.
        case ignored(String)
        /// No message at all: the stream is to be ended.
        case malformed(String)
    }

    /// Reads a message and says what it changes. Nothing is taken over before `settle`.
    mutating func received(_ bytes: [UInt8]) -> Received {
        do throws(SchemaErrors) {
            switch variant {
            case .whole: return try whole(try Envoy.RawDiscoveryResponse(protobuf: bytes))
            case .incremental: return try delta(try Envoy.DeltaDiscoveryResponse(protobuf: bytes))
            }
        } catch {
            return .malformed(error.problems.first?.description ?? "malformed")
        }
    }

    /// One item of a response.
    private struct Item {
        var name: String
        var version: String
        /// nil: a heartbeat.
        var bytes: [UInt8]?
        var life: UInt64?
        var position: Int
    }

    private mutating func whole(_ response: Envoy.RawDiscoveryResponse) throws(SchemaErrors) -> Received {
        heard(response.controlPlane?.identifier)
        guard let kind = ResourceKind(typeURL: response.typeUrl), self[kind].isWanted else {
            return .ignored(response.typeUrl)
        }
        var update = DiscoveryUpdate(kind: kind, version: response.versionInfo, nonce: response.nonce)
        var items: [Item] = []
        for (position, any) in response.resources.enumerated() {
            guard any.typeUrl == Envoy.DiscoveryResource.typeURL else {
                guard let item = item(kind, any, nil, position, version: response.versionInfo, &update) else {
                    continue
                }
                items.append(item)
                continue
            }
            let wrapped: Envoy.DiscoveryResource
            do throws(SchemaErrors) {
                wrapped = try Envoy.DiscoveryResource(protobuf: any.value)
            } catch {
                update.faults.append(Self.fault(position, "", error.problems.first?.description ?? ""))
                continue
            }
            if let item = item(wrapped, kind, position, version: response.versionInfo, &update) { items.append(item) }
        }
        take(items, into: &update)
        if kind.isComplete, update.faults.isEmpty {
            update.removed = self[kind].accepted.keys.filter { !update.seen.contains($0) }.sorted()
        }
        return .update(update)
    }

    private mutating func delta(_ response: Envoy.DeltaDiscoveryResponse) throws(SchemaErrors) -> Received {
        heard(response.controlPlane?.identifier)
        guard let kind = ResourceKind(typeURL: response.typeUrl), self[kind].isWanted else {
            return .ignored(response.typeUrl)
        }
        var update = DiscoveryUpdate(kind: kind, version: response.systemVersionInfo, nonce: response.nonce)
        update.isWhole = false
        var items: [Item] = []
        for (position, resource) in response.resources.enumerated() {
            if let item = item(resource, kind, position, version: resource.version, &update) { items.append(item) }
        }
        take(items, into: &update)
        for name in response.removedResources where !update.seen.contains(name) {
            update.removed.append(name)
            update.seen.insert(name)
        }
        return .update(update)
    }

    private func take(_ items: [Item], into update: inout DiscoveryUpdate) {
        let state = self[update.kind]
        for item in items {
            guard update.seen.insert(item.name).inserted else {
                update.faults.append(
                    Self.fault(item.position, item.name, "the name \"\(Self.clip(item.name))\" stands here twice")
                )
                continue
            }
            // More than was asked for is nobody's.
            guard state.isWildcard || state.names.contains(item.name) else { continue }
            if item.bytes != nil || state.accepted[item.name] != nil { update.lives[item.name] = item.life }
            guard let bytes = item.bytes else { continue }
            if let known = state.accepted[item.name], known.bytes == bytes {
                // The same under another version: nothing to try, but the server will want to hear the new one.
                if known.version == item.version || update.isWhole { continue }
            }
            update.changed.append(
                DiscoveredResource(name: item.name, version: item.version, bytes: bytes, position: item.position)
            )
        }
    }

    private func item(
        _ resource: Envoy.DiscoveryResource,
        _ kind: ResourceKind,
        _ position: Int,
        version: String,
        _ update: inout DiscoveryUpdate
    ) -> Item? {
        let life = resource.ttl.map { max(1, nanoseconds($0)) }
        guard let any = resource.resource else {
            return Item(name: resource.name, version: version, bytes: nil, life: life, position: position)
        }
        var found = item(kind, any, resource.name, position, version: version, &update)
        found?.life = life
        return found
    }

    private func item(
        _ kind: ResourceKind,
        _ any: Envoy.AnyBytes,
        _ outerName: String?,
        _ position: Int,
        version: String,
        _ update: inout DiscoveryUpdate
    ) -> Item? {
        guard any.typeUrl == kind.typeURL else {
            update.faults.append(
                Self.fault(
                    position,
                    outerName ?? "",
                    "@type: \"\(Self.clip(any.typeUrl))\" stands in a response of \(kind.typeURL)"
                )
            )
            return nil
        }
        let own = Self.name(in: any.value)
        guard !own.isEmpty else {
            update.faults.append(Self.fault(position, outerName ?? "", "name: required"))
            return nil
        }
        if let outerName, !outerName.isEmpty, outerName != own {
            update.faults.append(
                Self.fault(
                    position,
                    outerName,
                    "name: the resource \"\(Self.clip(outerName))\" calls itself \"\(Self.clip(own))\""
                )
            )
            return nil
        }
        return Item(name: own, version: version, bytes: any.value, life: nil, position: position)
    }

    private static func fault(_ position: Int, _ name: String, _ text: String) -> ResourceFault {
        ResourceFault(name: name, text: "resources[\(position)].\(text)")
    }

    private static func clip(_ text: String) -> String { String(text.prefix(80)) }

    /// The name of a resource of any kind is its field 1.
    static func name(in bytes: [UInt8]) -> String {
        var reader = ProtobufReader(bytes)
        var found = ""
        while let field = try? reader.next() {
            if field.number == 1, case .bytes(let run) = field.content { found = String(decoding: run, as: UTF8.self) }
            // It stands first wherever fields are written in order; what is behind may be long.
            if field.number > 1, !found.isEmpty { break }
        }
        return found
    }
}
