/// The listeners that the proxy could not open: read from its page `/listeners`, one `name::address::error why` a line.
package struct ListenerErrors: Sendable, Equatable {
    package private(set) var errors: [String: String] = [:]

    package init(_ page: String) {
        for line in page.split(whereSeparator: \.isNewline) {
            guard let mark = line.range(of: "::error ") else { continue }
            let name = line[..<mark.lowerBound]
            guard let end = name.range(of: "::") else { continue }
            errors[String(name[..<end.lowerBound])] = String(line[mark.upperBound...])
        }
    }
}

extension Substring {
    /// The first place of a text, or nil.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
