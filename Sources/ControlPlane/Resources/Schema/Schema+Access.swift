// The kinds in which access is written down.
extension Schema {
    static let accessTable = """
        Role:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        rules [PolicyRule]
        ClusterRole:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        rules [PolicyRule]
        aggregationRule AggregationRule
        AggregationRule:
        clusterRoleSelectors [LabelSelector]
        PolicyRule:
        verbs [string]!
        apiGroups [string]
        resources [string]
        resourceNames [string]
        nonResourceURLs [string]
        RoleBinding:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        subjects [RoleSubject]
        roleRef RoleReference!
        ClusterRoleBinding:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        subjects [RoleSubject]
        roleRef RoleReference!
        RoleSubject:
        kind User|Group|ServiceAccount!
        apiGroup string
        name string!
        namespace string
        RoleReference:
        apiGroup string!
        kind Role|ClusterRole!
        name string!

        """
}
