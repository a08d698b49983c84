/// Keeps a long value apart from what has it, and shares it with copies: a table of many has room for entries that are not there.
@propertyWrapper
struct Boxed<Value> {
    fileprivate final class Box {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private var box: Box

    init(wrappedValue: Value) { box = Box(wrappedValue) }

    var wrappedValue: Value {
        get { box.value }
        set { box = Box(newValue) }
    }

    /// The same value in the same place.
    var projectedValue: Boxed<Value> { self }
}

extension Boxed.Box: Sendable where Value: Sendable {}
extension Boxed: Sendable where Value: Sendable {}
