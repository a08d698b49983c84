/// What a registry wants to know before it answers: one `WWW-Authenticate` field (RFC 9110 section 11).
package struct RegistryChallenge: Sendable, Equatable {
    /// In lower case: `bearer`, `basic`.
    package var scheme: String
    /// Names in lower case.
    package var parameters: [String: String] = [:]

    /// Every challenge in a field's value; there may be several, with commas between them as between their parameters.
    package static func parse(_ text: String) -> [RegistryChallenge] {
        var challenges: [RegistryChallenge] = []
        var rest = Array(text.utf8.prefix(8192))[...]
        func isToken(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
        }
        func skip(_ bytes: [UInt8]) { rest = rest.drop { bytes.contains($0) } }
        while true {
            skip([0x20, 0x09, 0x2C])
            let word = String(decoding: rest.prefix(while: isToken), as: UTF8.self)
            guard !word.isEmpty else { return challenges }
            rest = rest.dropFirst(word.utf8.count)
            let afterWord = rest
            skip([0x20, 0x09])
            guard rest.first == 0x3D, !challenges.isEmpty else {
                // No parameter: the next scheme.
                rest = afterWord
                challenges.append(RegistryChallenge(scheme: word.lowercased()))
                continue
            }
            rest = rest.dropFirst()
            skip([0x20, 0x09])
            var value: [UInt8] = []
            if rest.first == 0x22 {
                rest = rest.dropFirst()
                while let byte = rest.first, byte != 0x22 {
                    rest = rest.dropFirst()
                    if byte == 0x5C, let escaped = rest.first {
                        rest = rest.dropFirst()
                        value.append(escaped)
                    } else {
                        value.append(byte)
                    }
                }
                rest = rest.dropFirst()
            } else {
                value = Array(rest.prefix { isToken($0) || $0 == 0x2F || $0 == 0x3A || $0 == 0x3D })
                rest = rest.dropFirst(value.count)
            }
            let name = word.lowercased()
            let last = challenges.count - 1
            if challenges[last].parameters[name] == nil {
                challenges[last].parameters[name] = String(decoding: value, as: UTF8.self)
            }
        }
    }
}
