import CEL
import Wire

/// Expressions of Kubernetes: nothing traps, whatever is compiled ends within its cost, and twice the same comes out.
///
/// The first line is the expression, the rest a document that it sees as `self`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCEL(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let end = bytes.firstIndex(of: 10) ?? bytes.count
    let source = String(decoding: bytes[..<end], as: UTF8.self)
    let document = (try? JSON.parse(Array(bytes[min(end + 1, bytes.count)...]))) ?? ["a": [1, "b", true], "n": 2.5]
    judge(document, by: source)
    for isHomogeneous in [true, false] {
        let environment = CELEnvironment([("self", .dyn)], isHomogeneous: isHomogeneous)
        guard let program = try? CELProgram.compile(source, environment) else { continue }
        let first = outcome(of: program, document)
        precondition(first == outcome(of: program, document), "an expression came to two outcomes")
    }
    return 0
}

private func outcome(of program: CELProgram, _ document: Value) -> String {
    var budget = CELBudget(20_000)
    do {
        let value = try program.evaluate([CELValue(plain: document)], budget: &budget)
        return value.json.map { JSON.write($0) } ?? value.text
    } catch {
        return "\(error)"
    }
}

/// The same as a rule of a schema that fits any document somewhere.
private func judge(_ document: Value, by source: String) {
    let schema: Value = [
        "type": "object",
        "properties": [
            "a": [
                "type": "array", "x-kubernetes-list-type": "set", "items": ["x-kubernetes-int-or-string": true],
                "x-kubernetes-validations": [["rule": .string(source), "messageExpression": .string(source)]],
            ],
            "n": ["type": "number"],
            "t": ["type": "string", "format": "date-time"],
        ],
        "x-kubernetes-validations": [["rule": .string(source)]],
    ]
    let (rules, _) = CELRules.compile(schema: schema)
    var budget = CELBudget(20_000)
    _ = rules.check(document, old: document["old"] ?? nil, budget: &budget)
}
