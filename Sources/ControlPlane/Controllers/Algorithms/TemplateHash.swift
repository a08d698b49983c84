package import Wire

/// A short name for a pod template, equal for equal templates: it makes the names of ReplicaSets and the label
/// `pod-template-hash`.
///
/// 64-bit FNV-1a over the tree with fields in the order of their names, so that neither the order of fields nor their
/// spelling in the file matters. A field of null counts as none.
package struct TemplateHash: Equatable, Sendable {
    /// Nine letters and digits out of those that make no words.
    package let text: String

    /// - Parameters:
    ///   - template: the `spec.template` of a Deployment, without the label `pod-template-hash`.
    ///   - collisions: `status.collisionCount`; a higher number gives another name for the same template.
    package init(_ template: Value, collisions: Int = 0) {
        var hash = FNV1a()
        hash.add(template)
        if collisions > 0 { hash.add(.int(Int64(collisions))) }
        text = hash.text
    }

    private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

    private struct FNV1a {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325

        mutating func add(byte: UInt8) {
            state = (state ^ UInt64(byte)) &* 0x100_0000_01b3
        }

        mutating func add(_ text: String) {
            for byte in text.utf8 { add(byte: byte) }
            add(byte: 0xff)
        }

        mutating func add(_ value: Value) {
            switch value {
            case .null: add(byte: 0)
            case .bool(let flag): add(byte: flag ? 2 : 1)
            case .int(let number):
                add(byte: 3)
                add(String(number))
            case .double(let number):
                add(byte: 4)
                add(String(number))
            case .string(let text):
                add(byte: 5)
                add(text)
            case .array(let elements):
                add(byte: 6)
                for element in elements { add(element) }
                add(byte: 7)
            case .object(let fields):
                add(byte: 8)
                for name in fields.names.sorted() {
                    guard let value = fields[name], !value.isNull else { continue }
                    add(name)
                    add(value)
                }
                add(byte: 9)
            }
        }

        var text: String {
            var rest = state
            var bytes: [UInt8] = []
            for _ in 0..<9 {
                bytes.append(TemplateHash.alphabet[Int(rest % 27)])
                rest /= 27
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
