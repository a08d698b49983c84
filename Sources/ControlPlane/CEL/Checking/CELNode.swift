/// A checked expression, as it is evaluated.
indirect enum CELNode: Sendable {
    case constant(CELValue)
    /// A value of the caller, by its place.
    case variable(Int)
    /// A value of a macro around, by its slot.
    case local(Int)
    case select(CELNode, String, isOptional: Bool)
    case has(CELNode, String)
    case index(CELNode, CELNode, isOptional: Bool)
    case list([(node: CELNode, isOptional: Bool)])
    case map([(key: CELNode, value: CELNode, isOptional: Bool)])
    case and([CELNode])
    case or([CELNode])
    case not(CELNode)
    case conditional(CELNode, CELNode, CELNode)
    case compare(CELComparison, CELNode, CELNode)
    case contains(CELNode, CELNode)
    case arithmetic(CELArithmetic, CELNode, CELNode)
    case call(CELFunction, [CELNode])
    /// A match with an expression that is known.
    case matches(CELNode, CELPattern)
    case macro(CELMacro)
    /// `optMap` and `optFlatMap`.
    case mapOptional(CELNode, slot: Int, CELNode, isFlat: Bool)
}

enum CELComparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
}

enum CELArithmetic: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"
}

/// A macro over the elements of a list or the entries of a map.
struct CELMacro: Sendable {
    enum Kind: String, Sendable {
        case all
        case exists
        case existsOne = "exists_one"
        case map
        case filter
        case transformList
        case transformMap
        case transformMapEntry
    }

    let kind: Kind
    let range: CELNode
    /// Where the element (or with two variables the index or key) stands.
    let slot: Int
    /// Where the value stands when there are two variables.
    let secondSlot: Int?
    /// Which elements take part: the middle part of `map` with three arguments.
    let condition: CELNode?
    let body: CELNode
}
