import Resources
import Wire

/// Holds what is written to the ResourceQuotas of its namespace.
///
/// What is used is counted from the objects themselves, on the store's writer: two writes can never have the same room.
struct QuotaAdmission: Admission {
    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        guard let type = object.type, type.isNamespaced else { return }
        let quotas = view.list(ResourceTypes.resourceQuotas, namespace: object.namespace)
        guard !quotas.isEmpty else { return }
        let namespace = object.namespace
        for quota in quotas.sorted(by: { $0.name < $1.name }) {
            let rules = QuotaRules(quota)
            let refusal = rules.refusal(quota.name, object, replacing: old, type) {
                rules.usage(of: rules.types.map { ($0, view.list($0, namespace: namespace)) })
            }
            if let refusal { throw .forbidden(type, object.name, refusal) }
        }
    }
}
