/// A path with names for its parts, as a regular expression: `/{region}/*/{rest=**}`.
///
/// `*` is one segment or a piece of one, `**` any rest; `{name}` is `{name=*}`.
package struct PathTemplate: Equatable, Sendable {
    package private(set) var expression = ""
    /// By number of their groups, from 1.
    package private(set) var names: [String] = []
    private var hasRest = false

    private static let nameLimit = 5
    private static let special = Set("\\.+*?()|[]{}^$".utf8)

    package init(_ text: String) throws(PatternError) {
        guard text.hasPrefix("/") else { throw PatternError(message: "a template begins with /") }
        try add(Array(text.utf8)[...], isNamed: false)
    }

    private mutating func add(_ text: ArraySlice<UInt8>, isNamed: Bool) throws(PatternError) {
        var rest = text
        while let byte = rest.first {
            switch byte {
            case 0x2A where rest.dropFirst().first == 0x2A:
                try addOperator(".*")
                hasRest = true
                rest = rest.dropFirst(2)
            case 0x2A:
                try addOperator("[^/]+")
                rest = rest.dropFirst()
            case 0x7B where !isNamed:
                guard let end = rest.firstIndex(of: 0x7D) else { throw PatternError(message: "{ without }") }
                try addNamed(rest[(rest.startIndex + 1)..<end])
                rest = rest[(end + 1)...]
            case 0x21...0x7A, 0x7E:
                guard byte != 0x23, byte != 0x3F, byte != 0x5C else { throw Self.misplaced(byte) }
                if Self.special.contains(byte) { expression += "\\" }
                expression.unicodeScalars.append(Unicode.Scalar(byte))
                rest = rest.dropFirst()
            default: throw Self.misplaced(byte)
            }
        }
    }

    private static func misplaced(_ byte: UInt8) -> PatternError {
        PatternError(
            message: "\(byte >= 0x20 && byte < 0x7F ? String(Unicode.Scalar(byte)) : "this byte") may not stand here"
        )
    }

    private mutating func addOperator(_ text: String) throws(PatternError) {
        guard !hasRest else { throw PatternError(message: "** has to be the last of its kind") }
        expression += text
    }

    private mutating func addNamed(_ text: ArraySlice<UInt8>) throws(PatternError) {
        let end = text.firstIndex(of: 0x3D) ?? text.endIndex
        let name = String(decoding: text[..<end], as: UTF8.self)
        let isName = name.utf8.first.map { $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A } ?? false
        let isPlain = name.utf8.allSatisfy {
            ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x5F
        }
        guard isName, isPlain, name.utf8.count <= 16 else {
            throw PatternError(message: "{\(name)}: a name has up to 16 letters, digits and _, a letter first")
        }
        guard !names.contains(name) else { throw PatternError(message: "{\(name)} stands here twice") }
        guard names.count < Self.nameLimit else { throw PatternError(message: "at most \(Self.nameLimit) names") }
        names.append(name)
        expression += "("
        let pattern = end < text.endIndex ? text[(end + 1)...] : [0x2A]
        guard !pattern.isEmpty else { throw PatternError(message: "{\(name)=} without a form") }
        try add(pattern, isNamed: true)
        expression += ")"
    }

    /// `/{b}/x/{a}` as the substitution of the whole expression.
    package func substitution(_ text: String) throws(PatternError) -> String {
        guard text.hasPrefix("/") else { throw PatternError(message: "a rewrite begins with /") }
        var made = ""
        var rest = text[...]
        while let character = rest.first {
            guard character == "{" else {
                guard character != "}", character != "\\", character != "*" else {
                    throw PatternError(message: "\(character) may not stand here")
                }
                made.append(character)
                rest = rest.dropFirst()
                continue
            }
            guard let end = rest.firstIndex(of: "}") else { throw PatternError(message: "{ without }") }
            let name = String(rest[rest.index(after: rest.startIndex)..<end])
            guard let number = names.firstIndex(of: name) else {
                throw PatternError(message: "{\(name)}: the path's template has no such name")
            }
            made += "\\\(number + 1)"
            rest = rest[rest.index(after: end)...]
        }
        return made
    }
}
