// Calls: operators, functions by their signatures, and macros.
extension CELChecker {
    mutating func call(
        _ syntax: CELSyntax,
        _ name: String,
        _ target: CELSyntax?,
        _ arguments: [CELSyntax]
    ) throws(CELError) -> Checked {
        if let macro = try macro(syntax, name, target, arguments) { return macro }
        if let target, let space = globalName(target), CELSignatures.isFunction("\(space).\(name)") {
            return try function(syntax, "\(space).\(name)", nil, arguments)
        }
        if target == nil {
            if let comparison = CELComparison(rawValue: name) { return try compare(syntax, comparison, arguments) }
            if let arithmetic = CELArithmetic(rawValue: name) {
                return try self.arithmetic(syntax, arithmetic, arguments)
            }
            if name == "in" {
                let (nodes, types) = try checkAll(arguments)
                guard CELSignatures.result("in", isMember: false, types) != nil else {
                    throw noOverload("@in", types, syntax)
                }
                return (.contains(nodes[0], nodes[1]), .bool)
            }
        }
        return try function(syntax, name, target, arguments)
    }

    private mutating func checkAll(_ arguments: [CELSyntax]) throws(CELError) -> ([CELNode], [CELType]) {
        var nodes: [CELNode] = []
        var types: [CELType] = []
        for argument in arguments {
            let checked = try check(argument)
            nodes.append(checked.node)
            types.append(checked.type)
        }
        return (nodes, types)
    }

    private mutating func compare(
        _ syntax: CELSyntax,
        _ comparison: CELComparison,
        _ arguments: [CELSyntax]
    ) throws(CELError) -> Checked {
        let (nodes, types) = try checkAll(arguments)
        let fits: Bool
        switch comparison {
        case .equal, .notEqual: fits = types[0].mayBe(types[1])
        default: fits = CELSignatures.result("<", isMember: false, types) != nil
        }
        guard fits else { throw noOverload("_\(comparison.rawValue)_", types, syntax) }
        return (.compare(comparison, nodes[0], nodes[1]), .bool)
    }

    private mutating func arithmetic(
        _ syntax: CELSyntax,
        _ operation: CELArithmetic,
        _ arguments: [CELSyntax]
    ) throws(CELError) -> Checked {
        let (nodes, types) = try checkAll(arguments)
        guard let result = CELSignatures.result(operation.rawValue, isMember: false, types) else {
            throw noOverload("_\(operation.rawValue)_", types, syntax)
        }
        return (.arithmetic(operation, nodes[0], nodes[1]), result)
    }

    private mutating func function(
        _ syntax: CELSyntax,
        _ name: String,
        _ target: CELSyntax?,
        _ arguments: [CELSyntax]
    ) throws(CELError) -> Checked {
        guard let function = CELFunction(rawValue: name), CELSignatures.isFunction(name) else {
            throw error("undeclared reference to '\(name)' (in container '')", syntax)
        }
        let all = (target.map { [$0] } ?? []) + arguments
        let wasFormatting = isFormatting
        isFormatting = isFormatting || function == .format
        defer { isFormatting = wasFormatting }
        let (nodes, types) = try checkAll(all)
        guard let result = CELSignatures.result(name, isMember: target != nil, types) else {
            throw noOverload(name == "-_" ? "-_" : name, types, member: target != nil, syntax)
        }
        try checkConstants(function, nodes, all)
        if function == .matches, case .constant(.string(let pattern)) = nodes[1],
            let compiled = try? CELPattern(pattern)
        {
            return (.matches(nodes[0], compiled), .bool)
        }
        return (.call(function, nodes), result)
    }

    /// Literals that can never be right are refused now, not when the expression runs.
    private func checkConstants(
        _ function: CELFunction,
        _ nodes: [CELNode],
        _ arguments: [CELSyntax]
    ) throws(CELError) {
        let place = function == .matches || function == .find || function == .findAll ? 1 : 0
        guard nodes.count > place, case .constant(.string(let text)) = nodes[place] else { return }
        do throws(CELFailure) {
            switch function {
            case .matches, .find, .findAll: _ = try CELPattern(text)
            case .duration where CELTime.duration(text) == nil: throw CELFailure("invalid duration argument")
            case .timestamp where CELTime.timestamp(text) == nil: throw CELFailure("invalid timestamp argument")
            default: break
            }
        } catch {
            let what = place == 1 ? "invalid matches argument" : error.message
            throw self.error(what, arguments[place])
        }
    }

    // MARK: Macros

    private mutating func macro(
        _ syntax: CELSyntax,
        _ name: String,
        _ target: CELSyntax?,
        _ arguments: [CELSyntax]
    ) throws(CELError) -> Checked? {
        guard let target else {
            return name == "has" && arguments.count == 1 ? try has(syntax, arguments[0]) : nil
        }
        switch (name, arguments.count) {
        case ("optMap", 2), ("optFlatMap", 2): return try mapOptional(target, arguments, isFlat: name == "optFlatMap")
        case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("map", 2), ("map", 3), ("filter", 2):
            return try comprehension(name, target, arguments, variables: 1)
        case ("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3), ("transformList", 3),
            ("transformList", 4), ("transformMap", 3), ("transformMap", 4), ("transformMapEntry", 3),
            ("transformMapEntry", 4):
            return try comprehension(name, target, arguments, variables: 2)
        default: return nil
        }
    }

    private func variableName(_ syntax: CELSyntax) throws(CELError) -> String {
        guard case .identifier(let name) = syntax.kind else { throw error("argument must be a simple name", syntax) }
        return name
    }

    private mutating func declare(_ syntax: CELSyntax, _ type: CELType) throws(CELError) -> Int {
        let slot = locals.count
        locals.append((try variableName(syntax), slot, type))
        slotCount = max(slotCount, locals.count)
        return slot
    }

    private mutating func mapOptional(
        _ target: CELSyntax,
        _ arguments: [CELSyntax],
        isFlat: Bool
    ) throws(CELError) -> Checked {
        let operand = try check(target)
        let wrapped: CELType
        switch operand.type {
        case .optional(let type): wrapped = type
        case .dyn: wrapped = .dyn
        default: throw noOverload("optMap", [operand.type], member: true, target)
        }
        let slot = try declare(arguments[0], wrapped)
        defer { locals.removeLast() }
        let body = try check(arguments[1])
        if isFlat, !body.type.mayBe(.optional(.dyn)) {
            throw error("expected type 'optional_type(\(body.type))' but found '\(body.type)'", arguments[1])
        }
        return (
            .mapOptional(operand.node, slot: slot, body.node, isFlat: isFlat), isFlat ? body.type : .optional(body.type)
        )
    }

    private mutating func comprehension(
        _ name: String,
        _ target: CELSyntax,
        _ arguments: [CELSyntax],
        variables: Int
    ) throws(CELError) -> Checked {
        let kind = name == "existsOne" ? .existsOne : CELMacro.Kind(rawValue: name) ?? .all
        let range = try check(target)
        let types = try elementTypes(range.type, target, variables)
        if variables == 2, try variableName(arguments[0]) == variableName(arguments[1]) {
            throw error("overlapping variable names", arguments[1])
        }
        let slot = try declare(arguments[0], types.first)
        let secondSlot = variables == 2 ? try declare(arguments[1], types.second) : nil
        defer { locals.removeLast(variables) }
        var condition: Checked?
        if arguments.count == variables + 2 {
            condition = try check(arguments[variables])
            if condition?.type.mayBe(.bool) == false { throw error("expected type 'bool'", arguments[variables]) }
        }
        let body = try check(arguments[arguments.count - 1])
        let macro = CELMacro(
            kind: kind,
            range: range.node,
            slot: slot,
            secondSlot: secondSlot,
            condition: condition?.node,
            body: body.node
        )
        return (
            .macro(macro), try result(of: kind, range.type, types.second, body.type, arguments[arguments.count - 1])
        )
    }

    private func elementTypes(
        _ type: CELType,
        _ syntax: CELSyntax,
        _ variables: Int
    ) throws(CELError) -> (first: CELType, second: CELType) {
        switch type {
        case .dyn: (.dyn, .dyn)
        case .list(let element): variables == 1 ? (element, element) : (.int, element)
        case .map(let key, let value): (key, value)
        default:
            throw error(
                "expression of type '\(type)' cannot be range of a comprehension (must be list, map, or dynamic)",
                syntax
            )
        }
    }

    private func result(
        of kind: CELMacro.Kind,
        _ range: CELType,
        _ element: CELType,
        _ body: CELType,
        _ syntax: CELSyntax
    ) throws(CELError) -> CELType {
        switch kind {
        case .all, .exists, .existsOne, .filter:
            guard body.mayBe(.bool) else { throw error("expected type 'bool' but found '\(body)'", syntax) }
            guard kind == .filter else { return .bool }
            if case .map(let key, _) = range { return .list(key) }
            return range == .dyn ? .list(.dyn) : range
        case .map, .transformList: return .list(body)
        case .transformMap:
            if case .map(let key, _) = range { return .map(key, body) }
            if case .list = range { return .map(.int, body) }
            return .map(.dyn, body)
        case .transformMapEntry:
            guard body.mayBe(.map(.dyn, .dyn)) else { throw error("expected type 'map' but found '\(body)'", syntax) }
            return body
        }
    }
}
