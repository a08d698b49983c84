import Wire

/// Checks a custom object by its schema. What an update leaves as it was is not checked again: a schema that became
/// stricter must not hold up changes of other fields.
struct CustomValidation {
    private(set) var errors: [FieldError] = []
    private var steps: [Step] = []
    /// Only whether anything is wrong is asked: the first error ends it, so that nested junctions cost no more than their
    /// branches together.
    private var isTrial = false

    enum Step {
        case field(String)
        case index(Int)
    }

    /// Errors beyond this many are not collected.
    private static let maximumErrors = 100

    /// The object's own errors, `old` being what it replaces.
    mutating func validate(_ value: Value, _ schema: StructuralSchema, _ old: Value?) {
        if let old, old == value { return }
        if value.isNull {
            // A place without a type may hold null.
            if !schema.isNullable, schema.kind != .any || schema.isIntOrString { mistype(value, schema) }
            return
        }
        guard schema.fits(value) else { return mistype(value, schema) }
        if let checks = schema.checks { check(value, checks.parts) }
        switch value {
        case .object(let fields): validateFields(fields, schema, old)
        case .array(let elements): validateElements(elements, schema, old)
        default: break
        }
    }

    private mutating func validateFields(_ fields: Fields, _ schema: StructuralSchema, _ old: Value?) {
        for (name, item) in fields {
            guard errors.count < Self.maximumErrors, let child = schema.child(name) else { continue }
            steps.append(.field(name))
            validate(item, child, old?[name])
            steps.removeLast()
        }
        if schema.isEmbedded { validateEmbedded(fields) }
    }

    private mutating func validateEmbedded(_ fields: Fields) {
        for name in ["apiVersion", "kind"] where (fields[name]?.stringValue ?? "").isEmpty {
            steps.append(.field(name))
            add(FieldError(path, .required, "Required value: must not be empty"))
            steps.removeLast()
        }
    }

    private mutating func validateElements(_ elements: [Value], _ schema: StructuralSchema, _ old: Value?) {
        guard let items = schema.items else { return }
        var places: [Value]?
        var known: [String: Value] = [:]
        switch schema.list {
        case .atomic: break
        case .set: checkUnique(elements)
        case .map(let keys):
            let own = elements.map { Self.place(of: $0, keys) }
            checkUnique(own)
            if let present = old?.arrayValue {
                for element in present { known[JSON.write(Self.place(of: element, keys))] = element }
                places = own
            }
        }
        for (index, element) in elements.enumerated() {
            guard errors.count < Self.maximumErrors else { return }
            steps.append(.index(index))
            validate(element, items, places.flatMap { known[JSON.write($0[index])] })
            steps.removeLast()
        }
    }

    private static func place(of element: Value, _ keys: [String]) -> Value {
        var place = Fields()
        for key in keys { place[key] = element[key] }
        return .object(place)
    }

    private mutating func checkUnique(_ places: [Value]) {
        guard places.count > 1 else { return }
        var seen: Set<String> = []
        for (index, place) in places.enumerated() {
            let text = Self.canonical(place)
            guard !seen.insert(text).inserted else { continue }
            steps.append(.index(index))
            add(FieldError(path, .duplicate, "Duplicate value: \(text.prefix(200))"))
            steps.removeLast()
        }
    }

    /// Texts that are equal when their values are.
    private static func canonical(_ value: Value) -> String {
        switch value {
        case .object(let fields):
            let parts = fields.sorted { $0.name < $1.name }
                .map { "\(JSON.write(.string($0.name))):\(canonical($0.value))" }
            return "{\(parts.joined(separator: ","))}"
        case .array(let elements): return "[\(elements.map(canonical).joined(separator: ","))]"
        case .double(let number): return Int64(exactly: number).map(String.init) ?? String(number)
        default: return JSON.write(value)
        }
    }

    // MARK: Checks

    private mutating func check(_ value: Value, _ parts: ValueChecks.Parts) {
        if isTrial, !errors.isEmpty { return }
        if let kind = parts.kind, !Self.has(value, kind) {
            invalid(value, "\(path) in body must be of type \(kind.rawValue): \(Self.shown(value))")
            return
        }
        if let choices = parts.choices, !choices.contains(where: { Self.equal($0, value) }) {
            let list = choices.map { JSON.write($0) }.joined(separator: ", ")
            add(FieldError(path, .notSupported, "Unsupported value: \(Self.shown(value)): supported values: \(list)"))
        }
        switch value {
        case .string(let text): check(text: text, parts)
        case .int, .double: check(number: value, parts)
        case .array(let elements): check(elements: elements, parts)
        case .object(let fields): check(fields: fields, parts)
        default: break
        }
        checkJunctions(value, parts)
    }

    private mutating func check(text: String, _ parts: ValueChecks.Parts) {
        if parts.lengths.low > 0 || parts.lengths.high < Int.max {
            // Only a long text has to be counted.
            let count = text.unicodeScalars.count
            if count > parts.lengths.high {
                add(FieldError(path, .tooLong, "Too long: may not be more than \(parts.lengths.high) bytes"))
            }
            if count < parts.lengths.low {
                invalid(.string(text), "\(path) in body should be at least \(parts.lengths.low) chars long")
            }
        }
        if let pattern = parts.pattern, !pattern.isFound(in: text) {
            invalid(.string(text), "\(path) in body should match '\(pattern.text)'")
        }
        if let format = parts.format, !format.accepts(.string(text)) {
            invalid(.string(text), "\(path) in body must be of type \(format.rawValue): \(Self.shown(.string(text)))")
        }
    }

    private mutating func check(number: Value, _ parts: ValueChecks.Parts) {
        guard let value = number.doubleValue else { return }
        if let minimum = parts.minimum, minimum.isExclusive ? value <= minimum.value : value < minimum.value {
            let words = minimum.isExclusive ? "greater than" : "greater than or equal to"
            invalid(number, "\(path) in body should be \(words) \(Self.text(minimum.value))")
        }
        if let maximum = parts.maximum, maximum.isExclusive ? value >= maximum.value : value > maximum.value {
            let words = maximum.isExclusive ? "less than" : "less than or equal to"
            invalid(number, "\(path) in body should be \(words) \(Self.text(maximum.value))")
        }
        if let multiple = parts.multipleOf {
            let quotient = value / multiple
            if quotient != quotient.rounded() {
                invalid(number, "\(path) in body should be a multiple of \(Self.text(multiple))")
            }
        }
        if let format = parts.format, !format.accepts(number) {
            invalid(number, "\(path) in body must be of type \(format.rawValue): \(Self.shown(number))")
        }
    }

    private static func text(_ number: Double) -> String { Int64(exactly: number).map(String.init) ?? String(number) }

    private mutating func check(elements: [Value], _ parts: ValueChecks.Parts) {
        if elements.count > parts.items.high {
            tooMany(elements.count, parts.items.high)
        }
        if elements.count < parts.items.low {
            invalid(.int(Int64(elements.count)), "\(path) in body should have at least \(parts.items.low) items")
        }
        guard let element = parts.element else { return }
        for (index, item) in elements.enumerated() where errors.count < Self.maximumErrors {
            steps.append(.index(index))
            check(item, element.parts)
            steps.removeLast()
        }
    }

    private mutating func check(fields: Fields, _ parts: ValueChecks.Parts) {
        if fields.count > parts.properties.high { tooMany(fields.count, parts.properties.high) }
        if fields.count < parts.properties.low {
            invalid(
                .int(Int64(fields.count)),
                "\(path) in body should have at least \(parts.properties.low) properties"
            )
        }
        for name in parts.required where fields[name] == nil {
            steps.append(.field(name))
            add(FieldError(path, .required, "Required value"))
            steps.removeLast()
        }
        for (name, checks) in parts.fields {
            guard let item = fields[name] else { continue }
            steps.append(.field(name))
            check(item, checks.parts)
            steps.removeLast()
        }
    }

    private mutating func checkJunctions(_ value: Value, _ parts: ValueChecks.Parts) {
        if !parts.allOf.isEmpty {
            for branch in parts.allOf { check(value, branch.parts) }
        }
        if !parts.anyOf.isEmpty, !parts.anyOf.contains(where: { accepts(value, $0) }) {
            junction("\"\(path)\" must validate at least one schema (anyOf)")
            // The first branch says what is missing.
            if !isTrial, let first = parts.anyOf.first { check(value, first.parts) }
        }
        if !parts.oneOf.isEmpty {
            let count = parts.oneOf.count { accepts(value, $0) }
            if count != 1 {
                let found = count == 0 ? "Found none valid" : "Found \(count) valid alternatives"
                junction("\"\(path)\" must validate one and only one schema (oneOf). \(found)")
            }
            if count == 0, !isTrial, let first = parts.oneOf.first { check(value, first.parts) }
        }
        if let not = parts.not, accepts(value, not) { junction("\"\(path)\" must not validate the schema (not)") }
    }

    private mutating func junction(_ words: String) { add(FieldError(path, .invalid, "Invalid value: \"\": \(words)")) }

    private func accepts(_ value: Value, _ checks: ValueChecks) -> Bool {
        var trial = CustomValidation()
        trial.isTrial = true
        trial.check(value, checks.parts)
        return trial.errors.isEmpty
    }

    private static func has(_ value: Value, _ kind: StructuralSchema.Kind) -> Bool {
        switch (kind, value) {
        case (.integer, .int), (.string, .string), (.number, .int), (.number, .double), (.boolean, .bool),
            (.object, .object), (.array, .array), (.any, _):
            true
        case (.integer, .double): value.intValue != nil
        default: false
        }
    }

    private static func equal(_ left: Value, _ right: Value) -> Bool {
        if left == right { return true }
        guard let first = left.doubleValue, let second = right.doubleValue else { return false }
        return first == second
    }

    // MARK: Words

    private mutating func mistype(_ value: Value, _ schema: StructuralSchema) {
        let shown = value.isNull ? "\"null\"" : "\"\(value.typeName)\""
        add(
            FieldError(
                path,
                .typeInvalid,
                "Invalid value: \(shown): \(path) in body must be of type \(schema.typeName): \(shown)"
            )
        )
    }

    private mutating func tooMany(_ count: Int, _ limit: Int) {
        add(FieldError(path, .tooMany, "Too many: \(count): must have at most \(limit) items"))
    }

    private mutating func invalid(_ value: Value, _ why: String) {
        add(FieldError(path, .invalid, "Invalid value: \(Self.shown(value)): \(why)"))
    }

    private mutating func add(_ error: FieldError) {
        if errors.count < Self.maximumErrors { errors.append(error) }
    }

    /// A value in a message, cut when it is long.
    static func shown(_ value: Value) -> String {
        switch value {
        case .object, .array: "\"\(value.typeName)\""
        case .string(let text): JSON.write(.string(String(text.prefix(200))))
        default: JSON.write(value)
        }
    }

    /// Where the walk stands: `spec.rules[0].matches`.
    private var path: String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}
