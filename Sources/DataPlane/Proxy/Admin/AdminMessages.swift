import Traffic

/// A request to the admin, as far as it matters there.
struct AdminRequest: Sendable {
    var method: String
    var path: String
    /// Parameters of the query in order, percent signs decoded.
    var query: [(name: String, value: String)]
    var host: String
    /// Which page of a browser it comes from; nil: no page's.
    var origin: String?
    var accept: String?
    var body: [UInt8] = []
    /// Who asks, for what not everybody may have.
    var access = TapAccess(user: nil, isLocal: false, authorization: nil)

    /// The first value of a parameter; empty for one without `=`; nil when there is none.
    func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// Splits a target and decodes its query.
    static func parse(target: String) -> (path: String, query: [(name: String, value: String)]) {
        let pieces = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var query: [(name: String, value: String)] = []
        if pieces.count > 1 {
            for pair in pieces[1].split(separator: "&").prefix(64) {
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                query.append((decoded(sides[0]), sides.count > 1 ? decoded(sides[1]) : ""))
            }
        }
        return (String(pieces.first ?? ""), query)
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, rest.count >= 2,
                let number = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(number)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == 0x2B ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// An answer of the admin.
struct AdminResponse {
    var status: UInt16 = 200
    var contentType = "text/plain; charset=utf-8"
    var headers: [(String, String)] = []
    var body: [UInt8]
    /// In place of the body: what is written to it goes out piece by piece.
    var stream: AdminStream?

    init(status: UInt16 = 200, text: String) {
        self.status = status
        body = Array(text.utf8)
    }

    init(contentType: String, body: [UInt8]) {
        self.contentType = contentType
        self.body = body
    }
}
