public import HTTP

/// Where one header field stands, relative to the base of its `RequestView`: as the parser left it.
public typealias FieldPlace = HTTP.Field

/// What routing reads of a request: its normalised parts and its header fields, all in place.
///
/// Valid while the buffers behind it are; made for one call and not kept.
public struct RequestView: BitwiseCopyable {
    public var method: ByteRun
    /// Host and port as the client named them (absolute-form wins over Host), without a port when the connection manager
    /// strips it.
    public var authority: ByteRun
    /// The normalised path without the query.
    public var path: ByteRun
    /// What follows `?`, without it; empty when there is none.
    public var query: ByteRun
    public var isTLS: Bool
    /// What `:scheme` says; the connection's own unless the configuration overwrites it.
    public var isHTTPS: Bool
    /// The client presented a certificate, which was found good. Looked up only for tables that ask for it.
    public var hasCertificate = false
    /// The client is of the house.
    public var isInternal = false
    /// What the places of `fields` are relative to.
    public var base: UnsafeRawPointer?
    public var fields: UnsafePointer<FieldPlace>?
    public var fieldCount: Int

    @inlinable
    public init(
        method: ByteRun,
        authority: ByteRun,
        path: ByteRun,
        query: ByteRun = ByteRun(start: nil, count: 0),
        isTLS: Bool = false,
        base: UnsafeRawPointer? = nil,
        fields: UnsafePointer<FieldPlace>? = nil,
        fieldCount: Int = 0
    ) {
        self.method = method
        self.authority = authority
        self.path = path
        self.query = query
        self.isTLS = isTLS
        isHTTPS = isTLS
        self.base = base
        self.fields = fields
        self.fieldCount = fieldCount
    }

    /// The next value of a field at or after position `from`, which is moved behind it; nil when there is no further one.
    package func nextValue(of name: ByteRun, from position: inout Int) -> ByteRun? {
        guard let base, let fields else { return nil }
        while position < fieldCount {
            let place = fields[position]
            position += 1
            guard Int(place.nameLength) == name.count else { continue }
            let candidate = ByteRun(start: base + Int(place.nameStart), count: Int(place.nameLength))
            guard candidate.equalsIgnoringCase(name) else { continue }
            return ByteRun(start: base + Int(place.valueStart), count: Int(place.valueLength))
        }
        return nil
    }

    /// The first value of a field, or nil.
    package func value(of name: ByteRun) -> ByteRun? {
        var position = 0
        return nextValue(of: name, from: &position)
    }
}
