/// An expression as it was written, with the offset of each part in code points.
struct CELSyntax: Sendable {
    let offset: Int
    let kind: Kind

    indirect enum Kind: Sendable {
        case literal(CELValue)
        case identifier(String)
        case select(CELSyntax, String, isOptional: Bool)
        case index(CELSyntax, CELSyntax, isOptional: Bool)
        case call(String, CELSyntax?, [CELSyntax])
        case list([(value: CELSyntax, isOptional: Bool)])
        case map([(key: CELSyntax, value: CELSyntax, isOptional: Bool)])
        case and([CELSyntax])
        case or([CELSyntax])
        case not(CELSyntax)
        case conditional(CELSyntax, CELSyntax, CELSyntax)
    }

    init(_ offset: Int, _ kind: Kind) {
        self.offset = offset
        self.kind = kind
    }

    /// `a.b.c` when this is a chain of plain names.
    var qualifiedName: String? {
        switch kind {
        case .identifier(let name): name
        case .select(let operand, let name, isOptional: false): operand.qualifiedName.map { "\($0).\(name)" }
        default: nil
        }
    }
}
