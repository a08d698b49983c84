import Resources
import Testing
import Wire

func object(_ yaml: String) throws -> Object {
    Object(try #require(try YAML.parse(yaml).first).value)
}

/// A stored object: completed as the store completes it.
func stored(_ yaml: String) throws -> Object {
    var object = try object(yaml)
    if object.type?.isNamespaced ?? false, object.namespace.isEmpty { object.namespace = "default" }
    let type = try #require(object.type)
    let birth = ObjectRules.Birth(uid: "u-1", now: Timestamp(seconds: 1_767_323_045), suffix: "abcde")
    var result = try ObjectRules.prepareNew(object, of: type, birth)
    result.resourceVersion = "7"
    return result
}

/// Everything that is wrong with a manifest, one `path: message` a line.
func complaints(_ yaml: String) throws -> [String] {
    var object = try object(yaml)
    if object.type?.isNamespaced ?? false, object.namespace.isEmpty { object.namespace = "default" }
    let type = try #require(object.type)
    let check = SchemaCheck(object.value, of: type)
    var lines = (check.unknown + check.errors).map(\.description)
    guard lines.isEmpty else { return lines }
    object.value = check.pruned
    Defaults.fill(&object, of: type)
    lines += Validation(object, of: type).errors.map(\.description)
    return lines
}

let deployment = """
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
      labels: {app: web}
    spec:
      replicas: 3
      selector:
        matchLabels: {app: web}
      template:
        metadata:
          labels: {app: web}
        spec:
          containers:
          - name: web
            image: shop/web:1.2
            ports:
            - containerPort: 8080
            readinessProbe:
              httpGet: {path: /ready, port: 8080}
    """
