// The kinds in which access, bounds and priorities are written down.
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
        LimitRange:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec LimitRangeSpec
        LimitRangeSpec:
        limits [LimitRangeItem]!
        LimitRangeItem:
        type Container|Pod|PersistentVolumeClaim!
        max {quantity}
        min {quantity}
        default {quantity}
        defaultRequest {quantity}
        maxLimitRequestRatio {quantity}
        ResourceQuota:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec QuotaSpec
        status any
        QuotaSpec:
        hard {quantity}
        scopes [string]
        scopeSelector QuotaScopeSelector
        QuotaScopeSelector:
        matchExpressions [QuotaScope]
        QuotaScope:
        scopeName string!
        operator In|NotIn|Exists|DoesNotExist!
        values [string]
        PriorityClass:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        value int!
        globalDefault bool
        description string
        preemptionPolicy PreemptLowerPriority|Never
        RoleReference:
        apiGroup string!
        kind Role|ClusterRole!
        name string!

        """
}
