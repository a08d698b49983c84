import HTTP

/// A coding that a chain can make for one answer.
package struct OfferedCoding {
    /// As `accept-encoding` names it.
    package var token: ByteRun
    /// Wins over others that the client likes as much.
    package var isFavourite: Bool

    package init(token: ByteRun, isFavourite: Bool = false) {
        self.token = token
        self.isFavourite = isFavourite
    }
}

/// Which coding an answer gets, by what its client accepts (RFC 9110 section 12.5.3), as Envoy's compressors decide it
/// together.
package enum EncodingChoice: Equatable, Sendable {
    /// The client did not say.
    case noHeader
    /// The client likes the plain form best.
    case identity
    /// The client takes none of what is offered, or what it says is malformed.
    case notValid
    /// The place among what is offered.
    case coding(Int)
    /// The first of what is offered: the client takes anything.
    case wildcard(Int)

    /// By the values of all `accept-encoding` fields, among what the filters of the chain can make of this answer, in their
    /// order; of two with the same name the first counts.
    package static func choose(_ values: [ByteRun], offered: [OfferedCoding]) -> EncodingChoice {
        guard !values.isEmpty else { return .noHeader }
        var refused: [ByteRun] = []
        var best = Wish(token: .empty, weight: 0)
        var hasWish = false
        let wishes = values.flatMap { Wish.list($0) }
        for wish in wishes where wish.weight == 0 { refused.append(wish.token) }
        let open = offered.indices.filter { place in
            !refused.contains { $0.equalsIgnoringCase(offered[place].token) }
                && !offered[..<place].contains { $0.token.equals(offered[place].token) }
        }
        guard !open.isEmpty else { return .notValid }
        for wish in wishes {
            let place = open.first { offered[$0].token.equalsIgnoringCase(wish.token) }
            guard place != nil || wish.isWildcard || wish.isIdentity else { continue }
            let wins = place.map { isFavourite($0, offered) } ?? false
            if wish.weight > best.weight || (wish.weight == best.weight && hasWish && wins) {
                best = wish
                hasWish = true
            }
        }
        guard hasWish else { return .notValid }
        if best.isIdentity { return .identity }
        if best.isWildcard { return .wildcard(open.first { isFavourite($0, offered) } ?? open[0]) }
        return .coding(open.first { offered[$0].token.equalsIgnoringCase(best.token) } ?? open[0])
    }

    /// Of several favourites the last one is it.
    private static func isFavourite(_ place: Int, _ offered: [OfferedCoding]) -> Bool {
        offered.lastIndex { $0.isFavourite } == place
    }

    /// The chosen place, however it was chosen.
    package var place: Int? {
        switch self {
        case .coding(let place), .wildcard(let place): place
        default: nil
        }
    }
}

/// One element of `accept-encoding`.
struct Wish {
    var token: ByteRun
    /// In thousandths.
    var weight: Int

    var isWildcard: Bool { token.count == 1 && token[0] == UInt8(ascii: "*") }
    var isIdentity: Bool { token.equalsIgnoringCase(FieldText.run("identity")) }

    /// The elements of a field's value; those with a malformed weight are left out.
    static func list(_ value: ByteRun) -> [Wish] {
        FieldText.elements(value).compactMap { element in
            guard let semicolon = element.firstIndex(of: 0x3B) else { return Wish(token: element, weight: 1000) }
            let token = element.first(semicolon).trimmed
            let parameter = element.dropping(semicolon + 1).trimmed
            guard let equals = parameter.firstIndex(of: 0x3D),
                parameter.first(equals).trimmed.equalsIgnoringCase(FieldText.run("q"))
            else { return Wish(token: token, weight: 1000) }
            guard let weight = thousandths(parameter.dropping(equals + 1).trimmed) else { return nil }
            return Wish(token: token, weight: weight)
        }
    }

    /// A weight of 0 to 1; nil when it is none.
    static func thousandths(_ text: ByteRun) -> Int? {
        var whole = 0
        var place = 0
        while let byte = text[place], byte >= 0x30, byte <= 0x39, place < 4 {
            whole = whole * 10 + Int(byte - 0x30)
            place += 1
        }
        var fraction = 0
        var scale = 100
        var digits = place
        if text[place] == 0x2E {
            place += 1
            while let byte = text[place], byte >= 0x30, byte <= 0x39 {
                fraction += Int(byte - 0x30) * scale
                scale /= 10
                place += 1
                digits += 1
            }
        }
        guard digits > 0, place == text.count else { return nil }
        return min(1000, whole * 1000 + fraction)
    }
}

/// Small readings of field values that are lists.
package enum FieldText {
    package static func run(_ text: StaticString) -> ByteRun {
        ByteRun(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// The elements between commas, without white space; empty ones are left out. At most 64, which no honest list has.
    package static func elements(_ value: ByteRun) -> [ByteRun] {
        var list: [ByteRun] = []
        var rest = value
        while !rest.isEmpty, list.count < 64 {
            let comma = rest.firstIndex(of: 0x2C)
            let element = rest.first(comma ?? rest.count).trimmed
            if !element.isEmpty { list.append(element) }
            guard let comma else { break }
            rest = rest.dropping(comma + 1)
        }
        return list
    }

    /// All values of a field.
    package static func values(_ name: ByteRun, _ view: RequestView) -> [ByteRun] {
        var list: [ByteRun] = []
        var position = 0
        while let value = view.nextValue(of: name, from: &position) { list.append(value) }
        return list
    }

    /// Whether a list that may stand in several fields has this element.
    package static func has(_ element: StaticString, in name: StaticString, _ view: RequestView) -> Bool {
        var position = 0
        while let value = view.nextValue(of: run(name), from: &position) {
            if elements(value).contains(where: { $0.equalsIgnoringCase(run(element)) }) { return true }
        }
        return false
    }
}
