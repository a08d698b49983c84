// CustomResourceDefinitions: the schemas inside are checked by `SchemaCompiler`, whose words are Kubernetes' own.
extension Schema {
    static let definitionTable = """
        CustomResourceDefinition:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec CustomResourceDefinitionSpec!
        status CustomResourceDefinitionStatus
        CustomResourceDefinitionSpec:
        group string!
        names CustomResourceDefinitionNames!
        scope string!
        versions [CustomResourceDefinitionVersion]!
        conversion CustomResourceConversion
        preserveUnknownFields bool
        CustomResourceDefinitionNames:
        plural string!
        singular string
        shortNames [string]
        kind string!
        listKind string
        categories [string]
        CustomResourceConversion:
        strategy string!
        webhook any
        CustomResourceDefinitionVersion:
        name string!
        served bool!
        storage bool!
        deprecated bool
        deprecationWarning string
        schema CustomResourceValidation
        subresources CustomResourceSubresources
        additionalPrinterColumns [CustomResourceColumnDefinition]
        selectableFields [SelectableField]
        SelectableField:
        jsonPath string!
        CustomResourceSubresources:
        status any
        scale CustomResourceSubresourceScale
        CustomResourceSubresourceScale:
        specReplicasPath string!
        statusReplicasPath string!
        labelSelectorPath string
        CustomResourceColumnDefinition:
        name string!
        type string!
        format string
        description string
        priority int
        jsonPath string!
        CustomResourceValidation:
        openAPIV3Schema JSONSchemaProps
        JSONSchemaProps:
        id string
        $schema string
        $ref string
        description string
        type string
        format string
        title string
        default any
        maximum number
        exclusiveMaximum bool
        minimum number
        exclusiveMinimum bool
        maxLength int
        minLength int
        pattern string
        maxItems int
        minItems int
        uniqueItems bool
        multipleOf number
        enum any
        maxProperties int
        minProperties int
        required [string]
        items JSONSchemaProps
        allOf [JSONSchemaProps]
        oneOf [JSONSchemaProps]
        anyOf [JSONSchemaProps]
        not JSONSchemaProps
        properties {JSONSchemaProps}
        additionalProperties any
        patternProperties {JSONSchemaProps}
        dependencies any
        additionalItems any
        definitions {JSONSchemaProps}
        externalDocs ExternalDocumentation
        example any
        nullable bool
        x-kubernetes-preserve-unknown-fields bool
        x-kubernetes-embedded-resource bool
        x-kubernetes-int-or-string bool
        x-kubernetes-list-map-keys [string]
        x-kubernetes-list-type string
        x-kubernetes-map-type string
        x-kubernetes-validations [ValidationRule]
        ExternalDocumentation:
        description string
        url string
        ValidationRule:
        rule string!
        message string
        messageExpression string
        reason string
        fieldPath string
        optionalOldSelf bool
        CustomResourceDefinitionStatus:
        conditions [CustomResourceDefinitionCondition]@type
        acceptedNames CustomResourceDefinitionNames
        storedVersions [string]
        observedGeneration int
        CustomResourceDefinitionCondition:
        type string!
        status string!
        lastTransitionTime time
        reason string
        message string
        observedGeneration int

        """
}
