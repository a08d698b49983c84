import EnvoyAPI
import Wire

/// Protobuf fields and Envoy's messages: nothing traps, and what is decoded encodes to something that decodes alike.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProtobuf(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    var reader = ProtobufReader(bytes)
    while let field = try? reader.next() {
        if case .bytes(let inner) = field.content { _ = try? ProtobufReader.packed(inner) }
    }
    switch start[0] % 8 {
    case 0: check(Envoy.Bootstrap.self, bytes)
    case 1: check(Envoy.Listener.self, bytes)
    case 2: check(Envoy.Cluster.self, bytes)
    case 3: check(Envoy.RouteConfiguration.self, bytes)
    case 4: check(Envoy.DeltaDiscoveryResponse.self, bytes)
    case 5: check(Envoy.ClusterLoadAssignment.self, bytes)
    case 6: check(Envoy.Secret.self, bytes)
    default: check(Envoy.RawDiscoveryResponse.self, bytes)
    }
    return 0
}

private func check<Message: EnvoyMessage>(_ type: Message.Type, _ bytes: [UInt8]) {
    if let message = try? Message(protobuf: bytes) {
        guard let again = try? Message(protobuf: message.protobufBytes) else {
            preconditionFailure("a message that was written cannot be read")
        }
        precondition(again.protobufBytes == message.protobufBytes, "protobuf changed the message")
    }
    if let value = try? JSON.parse(bytes), let message = try? Message.read(value) {
        guard let again = try? Message.read(message.jsonValue) else {
            preconditionFailure("JSON that was written cannot be read")
        }
        precondition(again.jsonValue == message.jsonValue, "JSON changed the message")
    }
}
