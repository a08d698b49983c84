package import Resources
import Wire

/// A certificate with its key, from a Secret of the type `kubernetes.io/tls`.
package struct MeshSecret: Sendable, Equatable {
    package var namespace: String
    package var name: String
    /// PEM.
    package var certificate: [UInt8]
    package var key: [UInt8]

    package init(namespace: String, name: String, certificate: [UInt8], key: [UInt8]) {
        self.namespace = namespace
        self.name = name
        self.certificate = certificate
        self.key = key
    }

    /// Nil for Secrets of another type, and for those that lack a part.
    package init?(_ secret: Object) {
        guard secret.value["type"]?.stringValue == "kubernetes.io/tls", let data = secret.value["data"],
            let certificate = data["tls.crt"]?.stringValue.flatMap({ Base64.decode($0) }), !certificate.isEmpty,
            let key = data["tls.key"]?.stringValue.flatMap({ Base64.decode($0) }), !key.isEmpty
        else { return nil }
        self.init(namespace: secret.namespace, name: secret.name, certificate: certificate, key: key)
    }
}
