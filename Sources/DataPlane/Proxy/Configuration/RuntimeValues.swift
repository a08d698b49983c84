import EnvoyAPI
import Wire

/// The values of the bootstrap's runtime layers, by key: later layers win. Those of control planes change while the proxy runs.
struct RuntimeValues {
    private var values: [String: Value] = [:]

    init() {}

    /// `discovered` gives the values of a layer that is subscribed to, by the layer's name.
    ///
    /// `admin` are the values of the admin's layer by key.
    init(
        _ runtime: Envoy.LayeredRuntime?,
        admin: [String: Value] = [:],
        discovered: (_ layer: String) -> Value? = { _ in nil }
    ) {
        for layer in runtime?.layers ?? [] {
            switch layer.layerSpecifier {
            case .staticLayer(let object): add(object, prefix: "")
            case .rtdsLayer: if let object = discovered(layer.name) { add(object, prefix: "") }
            case .adminLayer: values.merge(admin) { $1 }
            case nil: break
            }
        }
    }

    /// `{a: {b: 1}}` is the key `a.b`; an object with a numerator is one value.
    private mutating func add(_ value: Value, prefix: String) {
        guard let fields = value.fields, fields["numerator"] == nil else {
            if !prefix.isEmpty { values[prefix] = value }
            return
        }
        for (name, inner) in fields { add(inner, prefix: prefix.isEmpty ? name : "\(prefix).\(name)") }
    }

    /// The keys that have values.
    var keys: some Collection<String> { values.keys }

    /// A number.
    func double(_ key: String) -> Double? {
        switch values[key] {
        case .int(let number): Double(number)
        case .double(let number): number
        case .string(let text): Double(text)
        default: nil
        }
    }

    /// A whole number that is not negative.
    func number(_ key: String) -> UInt64? {
        switch values[key] {
        case .int(let number) where number >= 0: UInt64(number)
        case .double(let number) where number >= 0 && number < 1e15: UInt64(number)
        case .string(let text): UInt64(text)
        default: nil
        }
    }

    /// True or false.
    func flag(_ key: String) -> Bool? {
        switch values[key] {
        case .bool(let flag): flag
        case .string("true"): true
        case .string("false"): false
        default: nil
        }
    }

    /// A share of requests, of a million: a number is a percentage, an object has `numerator` and `denominator`.
    func share(_ key: String) -> UInt32? {
        if let fields = values[key]?.fields {
            guard case .int(let numerator)? = fields["numerator"], numerator >= 0 else { return nil }
            let unit: UInt64
            switch fields["denominator"]?.stringValue {
            case nil, "HUNDRED": unit = 10_000
            case "TEN_THOUSAND": unit = 100
            case "MILLION": unit = 1
            default: return nil
            }
            return UInt32(min(1_000_000, UInt64(numerator).multipliedReportingOverflow(by: unit).partialValue))
        }
        return number(key).map { UInt32(min(100, $0) * 10_000) }
    }
}
