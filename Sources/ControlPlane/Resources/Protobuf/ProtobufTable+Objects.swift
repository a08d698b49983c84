// The numbers of fields, part 1 of 3: `ProtobufTable` reads these lines.
extension ProtobufTable {
    static let objects = """
        Deployment:
        1 metadata ObjectMeta; 2 spec DeploymentSpec; 3 status DeploymentStatus
        ReplicaSet:
        1 metadata ObjectMeta; 2 spec ReplicaSetSpec; 3 status ReplicaSetStatus
        StatefulSet:
        1 metadata ObjectMeta; 2 spec StatefulSetSpec; 3 status StatefulSetStatus
        DaemonSet:
        1 metadata ObjectMeta; 2 spec DaemonSetSpec; 3 status DaemonSetStatus
        Pod:
        1 metadata ObjectMeta; 2 spec PodSpec; 3 status PodStatus
        Namespace:
        1 metadata ObjectMeta; 2 spec NamespaceSpec; 3 status NamespaceStatus
        ConfigMap:
        1 metadata ObjectMeta; 2 data {s; 3 binaryData {y; 4 immutable b
        Secret:
        1 metadata ObjectMeta; 2 data {y; 3 type s; 4 stringData {s; 5 immutable b
        Service:
        1 metadata ObjectMeta; 2 spec ServiceSpec; 3 status ServiceStatus
        ServiceAccount:
        1 metadata ObjectMeta; 2 secrets [ObjectReference; 3 imagePullSecrets [LocalObjectReference
        4 automountServiceAccountToken b
        Event:
        1 metadata ObjectMeta; 2 involvedObject ObjectReference; 3 reason s; 4 message s; 5 source EventSource
        6 firstTimestamp T; 7 lastTimestamp T; 8 count i; 9 type s; 10 eventTime U; 11 series EventSeries; 12 action s
        13 related ObjectReference; 14 reportingComponent s; 15 reportingInstance s
        Node:
        1 metadata ObjectMeta; 2 spec NodeSpec; 3 status NodeStatus
        PersistentVolumeClaim:
        1 metadata ObjectMeta; 2 spec PersistentVolumeClaimSpec; 3 status PersistentVolumeClaimStatus
        PersistentVolume:
        1 metadata ObjectMeta; 2 spec PersistentVolumeSpec; 3 status PersistentVolumeStatus
        Endpoints:
        1 metadata ObjectMeta; 2 subsets [EndpointSubset
        ResourceQuota:
        1 metadata ObjectMeta; 2 spec ResourceQuotaSpec; 3 status ResourceQuotaStatus
        LimitRange:
        1 metadata ObjectMeta; 2 spec LimitRangeSpec
        Binding:
        1 metadata ObjectMeta; 2 target ObjectReference
        Job:
        1 metadata ObjectMeta; 2 spec JobSpec; 3 status JobStatus
        CronJob:
        1 metadata ObjectMeta; 2 spec CronJobSpec; 3 status CronJobStatus
        AutoscalingV1HorizontalPodAutoscaler:
        1 metadata ObjectMeta; 2 spec AutoscalingV1HorizontalPodAutoscalerSpec
        3 status AutoscalingV1HorizontalPodAutoscalerStatus
        AutoscalingV2HorizontalPodAutoscaler:
        1 metadata ObjectMeta; 2 spec AutoscalingV2HorizontalPodAutoscalerSpec
        3 status AutoscalingV2HorizontalPodAutoscalerStatus
        Scale:
        1 metadata ObjectMeta; 2 spec ScaleSpec; 3 status ScaleStatus
        TokenRequest:
        1 metadata ObjectMeta; 2 spec TokenRequestSpec; 3 status TokenRequestStatus
        TokenReview:
        1 metadata ObjectMeta; 2 spec TokenReviewSpec; 3 status TokenReviewStatus
        SelfSubjectReview:
        1 metadata ObjectMeta; 2 status SelfSubjectReviewStatus
        SelfSubjectAccessReview:
        1 metadata ObjectMeta; 2 spec SelfSubjectAccessReviewSpec; 3 status SubjectAccessReviewStatus
        SubjectAccessReview:
        1 metadata ObjectMeta; 2 spec SubjectAccessReviewSpec; 3 status SubjectAccessReviewStatus
        LocalSubjectAccessReview:
        1 metadata ObjectMeta; 2 spec SubjectAccessReviewSpec; 3 status SubjectAccessReviewStatus
        SelfSubjectRulesReview:
        1 metadata ObjectMeta; 2 spec SelfSubjectRulesReviewSpec; 3 status SubjectRulesReviewStatus
        Eviction:
        1 metadata ObjectMeta; 2 deleteOptions DeleteOptions
        PodDisruptionBudget:
        1 metadata ObjectMeta; 2 spec PodDisruptionBudgetSpec; 3 status PodDisruptionBudgetStatus
        Role:
        1 metadata ObjectMeta; 2 rules [PolicyRule
        RoleBinding:
        1 metadata ObjectMeta; 2 subjects [Subject; 3 roleRef RoleRef
        ClusterRole:
        1 metadata ObjectMeta; 2 rules [PolicyRule; 3 aggregationRule AggregationRule
        ClusterRoleBinding:
        1 metadata ObjectMeta; 2 subjects [Subject; 3 roleRef RoleRef
        Ingress:
        1 metadata ObjectMeta; 2 spec IngressSpec; 3 status IngressStatus
        NetworkPolicy:
        1 metadata ObjectMeta; 2 spec NetworkPolicySpec
        IngressClass:
        1 metadata ObjectMeta; 2 spec IngressClassSpec
        Lease:
        1 metadata ObjectMeta; 2 spec LeaseSpec
        EndpointSlice:
        1 metadata ObjectMeta; 2 endpoints [Endpoint; 3 ports [DiscoveryV1EndpointPort; 4 addressType s
        PriorityClass:
        1 metadata ObjectMeta; 2 value i; 3 globalDefault b; 4 description s; 5 preemptionPolicy s
        StorageClass:
        1 metadata ObjectMeta; 2 provisioner s; 3 parameters {s; 4 reclaimPolicy s; 5 mountOptions [s
        6 allowVolumeExpansion b; 7 volumeBindingMode s; 8 allowedTopologies [TopologySelectorTerm
        EventsV1Event:
        1 metadata ObjectMeta; 2 eventTime U; 3 series EventsV1EventSeries; 4 reportingController s
        5 reportingInstance s; 6 action s; 7 reason s; 8 regarding ObjectReference; 9 related ObjectReference; 10 note s
        11 type s; 12 deprecatedSource EventSource; 13 deprecatedFirstTimestamp T; 14 deprecatedLastTimestamp T
        15 deprecatedCount i
        DeleteOptions:
        1 gracePeriodSeconds p; 2 preconditions Preconditions; 3 orphanDependents b; 4 propagationPolicy s; 5 dryRun [s
        6 ignoreStoreReadErrorWithClusterBreakingPotential b
        ObjectMeta:
        1 name s; 2 generateName s; 3 namespace s; 4 selfLink s; 5 uid s; 6 resourceVersion s; 7 generation i
        8 creationTimestamp T; 9 deletionTimestamp T; 10 deletionGracePeriodSeconds p; 11 labels {s; 12 annotations {s
        13 ownerReferences [OwnerReference; 14 finalizers [s; 17 managedFields [ManagedFieldsEntry
        DeploymentSpec:
        1 replicas p; 2 selector LabelSelector; 3 template PodTemplateSpec; 4 strategy DeploymentStrategy
        5 minReadySeconds i; 6 revisionHistoryLimit p; 7 paused b; 9 progressDeadlineSeconds p
        DeploymentStatus:
        1 observedGeneration i; 2 replicas i; 3 updatedReplicas i; 4 availableReplicas i; 5 unavailableReplicas i
        6 conditions [DeploymentCondition; 7 readyReplicas i; 8 collisionCount p; 9 terminatingReplicas p
        ReplicaSetSpec:
        1 replicas p; 2 selector LabelSelector; 3 template PodTemplateSpec; 4 minReadySeconds i
        ReplicaSetStatus:
        1 replicas i; 2 fullyLabeledReplicas i; 3 observedGeneration i; 4 readyReplicas i; 5 availableReplicas i
        6 conditions [ReplicaSetCondition; 7 terminatingReplicas p
        StatefulSetSpec:
        1 replicas p; 2 selector LabelSelector; 3 template PodTemplateSpec
        4 volumeClaimTemplates [PersistentVolumeClaim; 5 serviceName s; 6 podManagementPolicy s
        7 updateStrategy StatefulSetUpdateStrategy; 8 revisionHistoryLimit p; 9 minReadySeconds i
        10 persistentVolumeClaimRetentionPolicy StatefulSetPersistentVolumeClaimRetentionPolicy
        11 ordinals StatefulSetOrdinals
        StatefulSetStatus:
        1 observedGeneration i; 2 replicas i; 3 readyReplicas i; 4 currentReplicas i; 5 updatedReplicas i
        6 currentRevision s; 7 updateRevision s; 9 collisionCount p; 10 conditions [StatefulSetCondition
        11 availableReplicas i
        DaemonSetSpec:
        1 selector LabelSelector; 2 template PodTemplateSpec; 3 updateStrategy DaemonSetUpdateStrategy
        4 minReadySeconds i; 6 revisionHistoryLimit p
        DaemonSetStatus:
        1 currentNumberScheduled i; 2 numberMisscheduled i; 3 desiredNumberScheduled i; 4 numberReady i
        5 observedGeneration i; 6 updatedNumberScheduled i; 7 numberAvailable i; 8 numberUnavailable i
        9 collisionCount p; 10 conditions [DaemonSetCondition
        PodSpec:
        1 volumes [Volume; 2 containers [Container; 3 restartPolicy s; 4 terminationGracePeriodSeconds p
        5 activeDeadlineSeconds p; 6 dnsPolicy s; 7 nodeSelector {s; 8 serviceAccountName s; 9 serviceAccount s
        10 nodeName s; 11 hostNetwork b; 12 hostPID b; 13 hostIPC b; 14 securityContext PodSecurityContext
        15 imagePullSecrets [LocalObjectReference; 16 hostname s; 17 subdomain s; 18 affinity Affinity
        19 schedulerName s; 20 initContainers [Container; 21 automountServiceAccountToken b; 22 tolerations [Toleration
        23 hostAliases [HostAlias; 24 priorityClassName s; 25 priority p; 26 dnsConfig PodDNSConfig
        27 shareProcessNamespace b; 28 readinessGates [PodReadinessGate; 29 runtimeClassName s; 30 enableServiceLinks b
        31 preemptionPolicy s; 32 overhead {Q; 33 topologySpreadConstraints [TopologySpreadConstraint
        34 ephemeralContainers [EphemeralContainer; 35 setHostnameAsFQDN b; 36 os PodOS; 37 hostUsers b
        38 schedulingGates [PodSchedulingGate; 39 resourceClaims [PodResourceClaim; 40 resources ResourceRequirements
        41 hostnameOverride s; 43 schedulingGroup PodSchedulingGroup; 44 evictionResponders [EvictionResponder
        PodStatus:
        1 phase s; 2 conditions [PodCondition; 3 message s; 4 reason s; 5 hostIP s; 6 podIP s; 7 startTime T
        8 containerStatuses [ContainerStatus; 9 qosClass s; 10 initContainerStatuses [ContainerStatus
        11 nominatedNodeName s; 12 podIPs [PodIP; 13 ephemeralContainerStatuses [ContainerStatus; 14 resize s
        15 resourceClaimStatuses [PodResourceClaimStatus; 16 hostIPs [HostIP; 17 observedGeneration i
        18 extendedResourceClaimStatus PodExtendedResourceClaimStatus; 19 allocatedResources {Q
        20 resources ResourceRequirements; 21 nodeAllocatableResourceClaimStatuses [NodeAllocatableResourceClaimStatus
        22 volumeHealth [PodVolumeHealth
        NamespaceSpec:
        1 finalizers [s
        NamespaceStatus:
        1 phase s; 2 conditions [NamespaceCondition
        ServiceSpec:
        1 ports [ServicePort; 2 selector {s; 3 clusterIP s; 4 type s; 5 externalIPs [s; 7 sessionAffinity s
        8 loadBalancerIP s; 9 loadBalancerSourceRanges [s; 10 externalName s; 11 externalTrafficPolicy s
        12 healthCheckNodePort i; 13 publishNotReadyAddresses b; 14 sessionAffinityConfig SessionAffinityConfig
        17 ipFamilyPolicy s; 18 clusterIPs [s; 19 ipFamilies [s; 20 allocateLoadBalancerNodePorts b
        21 loadBalancerClass s; 22 internalTrafficPolicy s; 23 trafficDistribution s
        ServiceStatus:
        1 loadBalancer LoadBalancerStatus; 2 conditions [Condition
        ObjectReference:
        1 kind s; 2 namespace s; 3 name s; 4 uid s; 5 apiVersion s; 6 resourceVersion s; 7 fieldPath s
        LocalObjectReference:
        1 name s
        EventSource:
        1 component s; 2 host s
        EventSeries:
        1 count i; 2 lastObservedTime U
        NodeSpec:
        1 podCIDR s; 2 externalID s; 3 providerID s; 4 unschedulable b; 5 taints [Taint; 6 configSource NodeConfigSource
        7 podCIDRs [s; 8 podPreemptionPolicy NodePodPreemptionPolicy
        NodeStatus:
        1 capacity {Q; 2 allocatable {Q; 3 phase s; 4 conditions [NodeCondition; 5 addresses [NodeAddress
        6 daemonEndpoints NodeDaemonEndpoints; 7 nodeInfo NodeSystemInfo; 8 images [ContainerImage; 9 volumesInUse [s
        10 volumesAttached [AttachedVolume; 11 config NodeConfigStatus; 12 runtimeHandlers [NodeRuntimeHandler
        13 features NodeFeatures; 14 declaredFeatures [s
        PersistentVolumeClaimSpec:
        1 accessModes [s; 2 resources VolumeResourceRequirements; 3 volumeName s; 4 selector LabelSelector
        5 storageClassName s; 6 volumeMode s; 7 dataSource TypedLocalObjectReference
        8 dataSourceRef TypedObjectReference; 9 volumeAttributesClassName s
        PersistentVolumeClaimStatus:
        1 phase s; 2 accessModes [s; 3 capacity {Q; 4 conditions [PersistentVolumeClaimCondition
        5 allocatedResources {Q; 7 allocatedResourceStatuses {s; 8 currentVolumeAttributesClassName s
        9 modifyVolumeStatus ModifyVolumeStatus; 10 healthStatus VolumeHealthStatus
        PersistentVolumeSpec:
        1 capacity {Q; 2 - PersistentVolumeSource; 3 accessModes [s; 4 claimRef ObjectReference
        5 persistentVolumeReclaimPolicy s; 6 storageClassName s; 7 mountOptions [s; 8 volumeMode s
        9 nodeAffinity VolumeNodeAffinity; 10 volumeAttributesClassName s
        PersistentVolumeStatus:
        1 phase s; 2 message s; 3 reason s; 4 lastPhaseTransitionTime T
        EndpointSubset:
        1 addresses [EndpointAddress; 2 notReadyAddresses [EndpointAddress; 3 ports [EndpointPort
        ResourceQuotaSpec:
        1 hard {Q; 2 scopes [s; 3 scopeSelector ScopeSelector
        ResourceQuotaStatus:
        1 hard {Q; 2 used {Q
        LimitRangeSpec:
        1 limits [LimitRangeItem
        JobSpec:
        1 parallelism p; 2 completions p; 3 activeDeadlineSeconds p; 4 selector LabelSelector; 5 manualSelector b
        6 template PodTemplateSpec; 7 backoffLimit p; 8 ttlSecondsAfterFinished p; 9 completionMode s; 10 suspend b
        11 podFailurePolicy PodFailurePolicy; 12 backoffLimitPerIndex p; 13 maxFailedIndexes p
        14 podReplacementPolicy s; 15 managedBy s; 16 successPolicy SuccessPolicy
        17 scheduling JobSchedulingConfiguration
        JobStatus:
        1 conditions [JobCondition; 2 startTime T; 3 completionTime T; 4 active i; 5 succeeded i; 6 failed i
        7 completedIndexes s; 8 uncountedTerminatedPods UncountedTerminatedPods; 9 ready p; 10 failedIndexes s
        11 terminating p
        CronJobSpec:
        1 schedule s; 2 startingDeadlineSeconds p; 3 concurrencyPolicy s; 4 suspend b; 5 jobTemplate JobTemplateSpec
        6 successfulJobsHistoryLimit p; 7 failedJobsHistoryLimit p; 8 timeZone s
        CronJobStatus:
        1 active [ObjectReference; 4 lastScheduleTime T; 5 lastSuccessfulTime T
        AutoscalingV1HorizontalPodAutoscalerSpec:
        1 scaleTargetRef AutoscalingV1CrossVersionObjectReference; 2 minReplicas p; 3 maxReplicas i
        4 targetCPUUtilizationPercentage p
        AutoscalingV1HorizontalPodAutoscalerStatus:
        1 observedGeneration p; 2 lastScaleTime T; 3 currentReplicas i; 4 desiredReplicas i
        5 currentCPUUtilizationPercentage p
        AutoscalingV2HorizontalPodAutoscalerSpec:
        1 scaleTargetRef AutoscalingV2CrossVersionObjectReference; 2 minReplicas p; 3 maxReplicas i
        4 metrics [MetricSpec; 5 behavior HorizontalPodAutoscalerBehavior
        AutoscalingV2HorizontalPodAutoscalerStatus:
        1 observedGeneration p; 2 lastScaleTime T; 3 currentReplicas i; 4 desiredReplicas i
        5 currentMetrics [MetricStatus; 6 conditions [HorizontalPodAutoscalerCondition
        ScaleSpec:
        1 replicas i
        ScaleStatus:
        1 replicas i; 2 selector s
        TokenRequestSpec:
        1 audiences [s; 3 boundObjectRef BoundObjectReference; 4 expirationSeconds p; 5 attestations {AttestationValue
        TokenRequestStatus:
        1 token s; 2 expirationTimestamp T
        TokenReviewSpec:
        1 token s; 2 audiences [s
        TokenReviewStatus:
        1 authenticated b; 2 user UserInfo; 3 error s; 4 audiences [s
        SelfSubjectReviewStatus:
        1 userInfo UserInfo
        SelfSubjectAccessReviewSpec:
        1 resourceAttributes ResourceAttributes; 2 nonResourceAttributes NonResourceAttributes
        SubjectAccessReviewStatus:
        1 allowed b; 2 reason s; 3 evaluationError s; 4 denied b
        SubjectAccessReviewSpec:
        1 resourceAttributes ResourceAttributes; 2 nonResourceAttributes NonResourceAttributes; 3 user s; 4 groups [s
        5 extra {L; 6 uid s
        SelfSubjectRulesReviewSpec:
        1 namespace s
        SubjectRulesReviewStatus:
        1 resourceRules [ResourceRule; 2 nonResourceRules [NonResourceRule; 3 incomplete b; 4 evaluationError s
        PodDisruptionBudgetSpec:
        1 minAvailable I; 2 selector LabelSelector; 3 maxUnavailable I; 4 unhealthyPodEvictionPolicy s
        PodDisruptionBudgetStatus:
        1 observedGeneration i; 2 disruptedPods {T; 3 disruptionsAllowed i; 4 currentHealthy i; 5 desiredHealthy i
        6 expectedPods i; 7 conditions [Condition
        PolicyRule:
        1 verbs [s; 2 apiGroups [s; 3 resources [s; 4 resourceNames [s; 5 nonResourceURLs [s
        Subject:
        1 kind s; 2 apiGroup s; 3 name s; 4 namespace s
        RoleRef:
        1 apiGroup s; 2 kind s; 3 name s
        AggregationRule:
        1 clusterRoleSelectors [LabelSelector
        IngressSpec:
        1 defaultBackend IngressBackend; 2 tls [IngressTLS; 3 rules [IngressRule; 4 ingressClassName s
        IngressStatus:
        1 loadBalancer IngressLoadBalancerStatus
        NetworkPolicySpec:
        1 podSelector LabelSelector; 2 ingress [NetworkPolicyIngressRule; 3 egress [NetworkPolicyEgressRule
        4 policyTypes [s
        IngressClassSpec:
        1 controller s; 2 parameters IngressClassParametersReference
        LeaseSpec:
        1 holderIdentity s; 2 leaseDurationSeconds p; 3 acquireTime U; 4 renewTime U; 5 leaseTransitions p; 6 strategy s
        7 preferredHolder s
        Endpoint:
        1 addresses [s; 2 conditions EndpointConditions; 3 hostname s; 4 targetRef ObjectReference
        5 deprecatedTopology {s; 6 nodeName s; 7 zone s; 8 hints EndpointHints
        DiscoveryV1EndpointPort:
        1 name s; 2 protocol s; 3 port p; 4 appProtocol s
        TopologySelectorTerm:
        1 matchLabelExpressions [TopologySelectorLabelRequirement
        EventsV1EventSeries:
        1 count i; 2 lastObservedTime U

        """
}
