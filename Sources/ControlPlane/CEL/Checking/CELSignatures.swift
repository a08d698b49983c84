/// What functions take and give, read once from the tables.
enum CELSignatures {
    struct Overload {
        let isMember: Bool
        let parameters: [CELType]
        let result: CELType
    }

    static let all: [String: [Overload]] = {
        var all: [String: [Overload]] = [:]
        for line in CELSignatures.text.split(separator: "\n") where !line.hasPrefix("#") {
            var reader = CELSignatureReader(line)
            if let (name, overload) = reader.read() { all[name, default: []].append(overload) }
        }
        return all
    }()

    static func isFunction(_ name: String) -> Bool { all[name] != nil }

    /// The result of a call with arguments of these types; nil when no signature fits.
    static func result(_ name: String, isMember: Bool, _ arguments: [CELType]) -> CELType? {
        var result: CELType?
        for overload in all[name] ?? [] where overload.isMember == isMember {
            guard overload.parameters.count == arguments.count else { continue }
            var settled: [Character: CELType] = [:]
            let fits = zip(overload.parameters, arguments).allSatisfy { fit($0, $1, &settled) }
            guard fits else { continue }
            let type = substitute(overload.result, settled)
            guard let known = result else {
                result = type
                continue
            }
            result = known == type ? known : known.joined(type)
        }
        return result
    }

    private static func fit(_ parameter: CELType, _ argument: CELType, _ settled: inout [Character: CELType]) -> Bool {
        switch (parameter, argument) {
        case (.parameter(let letter), _):
            guard let known = settled[letter], known != .dyn else {
                settled[letter] = argument
                return true
            }
            guard known.mayBe(argument) else { return false }
            settled[letter] = known.joined(argument)
            return true
        case (_, .dyn):
            settle(parameter, &settled)
            return true
        case (.list(let inner), .list(let item)), (.optional(let inner), .optional(let item)):
            return fit(inner, item, &settled)
        case (.map(let key, let value), .map(let otherKey, let otherValue)):
            return fit(key, otherKey, &settled) && fit(value, otherValue, &settled)
        // Signatures take maps for objects with additional properties only.
        default: return parameter.mayBe(argument)
        }
    }

    private static func settle(_ type: CELType, _ settled: inout [Character: CELType]) {
        switch type {
        case .parameter(let letter): settled[letter] = settled[letter] ?? .dyn
        case .list(let item), .optional(let item): settle(item, &settled)
        case .map(let key, let value):
            settle(key, &settled)
            settle(value, &settled)
        default: break
        }
    }

    private static func substitute(_ type: CELType, _ settled: [Character: CELType]) -> CELType {
        switch type {
        case .parameter(let letter): settled[letter] ?? .dyn
        case .list(let item): .list(substitute(item, settled))
        case .optional(let item): .optional(substitute(item, settled))
        case .map(let key, let value): .map(substitute(key, settled), substitute(value, settled))
        default: type
        }
    }
}

/// Reads `name(receiver; type, type) result`.
private struct CELSignatureReader {
    private var rest: Substring

    init(_ line: Substring) { rest = line }

    mutating func read() -> (String, CELSignatures.Overload)? {
        guard let open = rest.firstIndex(of: "(") else { return nil }
        let name = String(rest[..<open])
        rest = rest[rest.index(after: open)...]
        var parameters: [CELType] = []
        var isMember = false
        while !skip(")") {
            guard let type = type() else { return nil }
            parameters.append(type)
            if skip(";") { isMember = true } else { _ = skip(",") }
        }
        guard let result = type() else { return nil }
        return (name, CELSignatures.Overload(isMember: isMember, parameters: parameters, result: result))
    }

    private mutating func skip(_ character: Character) -> Bool {
        while rest.first == " " { rest.removeFirst() }
        guard rest.first == character else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func type() -> CELType? {
        while rest.first == " " { rest.removeFirst() }
        let name = String(rest.prefix { $0.isLetter })
        rest = rest.dropFirst(name.count)
        switch name {
        case "list", "optional":
            guard skip("<"), let item = type(), skip(">") else { return nil }
            return name == "list" ? .list(item) : .optional(item)
        case "map":
            guard skip("<"), let key = type(), skip(","), let value = type(), skip(">") else { return nil }
            return .map(key, value)
        case "number": return .number
        case "timestamp": return .timestamp
        case "duration": return .duration
        case "null": return .null
        default:
            if name.count == 1, let letter = name.first { return .parameter(letter) }
            if let plain = CELChecker.typeNames[name] { return plain }
            return CELOpaqueType.allCases.first { "\($0)" == name }.map(CELType.opaque)
        }
    }
}
