import Wire

/// One version of a custom kind as its definition describes it, compiled once for every write and read.
package final class CustomVersion: Sendable {
    /// A column of tables (`additionalPrinterColumns`).
    package struct Column: Sendable {
        package let name: String
        package let type: String
        package let format: String
        package let description: String
        package let priority: Int
        package let path: FieldPath
    }

    /// Where the `scale` sub-resource finds its numbers.
    package struct Scale: Sendable {
        package let specReplicas: [String]
        package let statusReplicas: [String]
        package let selector: [String]?
    }

    package let name: String
    package let isServed: Bool
    package let isStorage: Bool
    /// `group/version` in which objects of the kind are kept.
    package let storageAPIVersion: String
    package let listKind: String
    package let schema: StructuralSchema
    let rules: (any CustomRules)?
    package let columns: [Column]
    package let hasStatus: Bool
    package let scale: Scale?
    /// Fields that objects can be chosen by, beside name and namespace: `spec.color`.
    package let selectable: [String]
    /// What users of a deprecated version are told; nil for one that is not.
    package let deprecation: String?

    struct Parts {
        var name = ""
        var isServed = false
        var isStorage = false
        var storageAPIVersion = ""
        var listKind = ""
        var schema = StructuralSchema.anything
        var rules: (any CustomRules)?
        var columns: [Column] = []
        var hasStatus = false
        var scale: Scale?
        var selectable: [String] = []
        var deprecation: String?
    }

    init(_ parts: Parts) {
        name = parts.name
        isServed = parts.isServed
        isStorage = parts.isStorage
        storageAPIVersion = parts.storageAPIVersion
        listKind = parts.listKind
        schema = parts.schema
        rules = parts.rules
        columns = parts.columns
        hasStatus = parts.hasStatus
        scale = parts.scale
        selectable = parts.selectable
        deprecation = parts.deprecation
    }

    /// A kept object as this version shows it: with its defaults, without what it does not know. Nil when it is kept so.
    package func shown(_ object: Object, apiVersion: String) -> Object? {
        guard object.apiVersion != apiVersion else { return nil }
        var value = object.value
        value["apiVersion"] = .string(apiVersion)
        var shaping = CustomShaping()
        return Object(shaping.shape(object: value, schema))
    }

    /// A kept object in the shape of the schema that is in force; nil when it has it already.
    package func renewed(_ object: Object) -> Object? {
        var value = object.value
        let isOther = object.apiVersion != storageAPIVersion
        if isOther { value["apiVersion"] = .string(storageAPIVersion) }
        var shaping = CustomShaping()
        if let shaped = shaping.change(ofObject: value, schema) { return Object(shaped).withText }
        return isOther ? Object(value).withText : nil
    }

    /// What is wrong with an object that is about to be kept in place of another.
    package func errors(of object: Object, replacing old: Object?) -> [FieldError] {
        var validation = CustomValidation()
        validation.validate(object.value, schema, old?.value)
        guard let rules else { return validation.errors }
        // Rules are for objects of the right types and sizes.
        let blocking: Set<FieldError.Reason> = [.required, .tooLong, .tooMany, .typeInvalid]
        guard !validation.errors.contains(where: { blocking.contains($0.reason) }) else {
            let why =
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
            return validation.errors + [FieldError("", .invalid, "Invalid value: null: \(why)")]
        }
        return validation.errors + rules.check(object.value, old: old?.value)
    }
}

/// A custom kind: its names and its versions.
package final class CustomKind: Sendable {
    package let group: String
    package let plural: String
    package let kind: String
    package let isNamespaced: Bool
    /// The types of all versions, served or not, the newest first.
    package let types: [ResourceType]
    /// The type in whose version objects are kept.
    package let storage: ResourceType
    /// The name of its definition.
    package let definition: String

    init(definition: String, types: [ResourceType], storage: ResourceType) {
        self.definition = definition
        self.types = types
        self.storage = storage
        group = storage.group
        plural = storage.plural
        kind = storage.kind
        isNamespaced = storage.isNamespaced
    }

    /// The types of the versions that clients may ask for.
    package var served: [ResourceType] { types.filter { $0.custom?.isServed ?? false } }
}
