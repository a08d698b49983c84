import Wire

/// JSON and YAML: nothing traps, and what is written is read back as the same value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzText(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let value = try? JSON.parse(bytes) { check(value) }
    for document in (try? YAML.parse(bytes)) ?? [] {
        _ = document.line(of: ["a", "0"])
        check(document.value)
    }
    return 0
}

private func check(_ value: Value) {
    guard let compact = try? JSON.parse(JSON.write(value)),
        let pretty = try? JSON.parse(JSON.write(value, pretty: true))
    else { preconditionFailure("JSON that was written cannot be read") }
    precondition(compact == value && pretty == value, "JSON changed the value")
    guard let documents = try? YAML.parse(YAML.write(value)) else {
        preconditionFailure("YAML that was written cannot be read")
    }
    precondition((documents.first?.value ?? .null) == value, "YAML changed the value")
}
