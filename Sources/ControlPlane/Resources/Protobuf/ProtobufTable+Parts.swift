// The numbers of fields, part 2 of 3: `ProtobufTable` reads these lines.
extension ProtobufTable {
    static let parts = """
        Preconditions:
        1 uid s; 2 resourceVersion s
        OwnerReference:
        1 kind s; 3 name s; 4 uid s; 5 apiVersion s; 6 controller b; 7 blockOwnerDeletion b
        ManagedFieldsEntry:
        1 manager s; 2 operation s; 3 apiVersion s; 4 time T; 6 fieldsType s; 7 fieldsV1 J; 8 subresource s
        LabelSelector:
        1 matchLabels {s; 2 matchExpressions [LabelSelectorRequirement
        PodTemplateSpec:
        1 metadata ObjectMeta; 2 spec PodSpec
        DeploymentStrategy:
        1 type s; 2 rollingUpdate RollingUpdateDeployment
        DeploymentCondition:
        1 type s; 2 status s; 4 reason s; 5 message s; 6 lastUpdateTime T; 7 lastTransitionTime T
        ReplicaSetCondition:
        1 type s; 2 status s; 3 lastTransitionTime T; 4 reason s; 5 message s
        StatefulSetUpdateStrategy:
        1 type s; 2 rollingUpdate RollingUpdateStatefulSetStrategy
        StatefulSetPersistentVolumeClaimRetentionPolicy:
        1 whenDeleted s; 2 whenScaled s
        StatefulSetOrdinals:
        1 start i
        StatefulSetCondition:
        1 type s; 2 status s; 3 lastTransitionTime T; 4 reason s; 5 message s
        DaemonSetUpdateStrategy:
        1 type s; 2 rollingUpdate RollingUpdateDaemonSet
        DaemonSetCondition:
        1 type s; 2 status s; 3 lastTransitionTime T; 4 reason s; 5 message s
        Volume:
        1 name s; 2 - VolumeSource
        Container:
        1 name s; 2 image s; 3 command [s; 4 args [s; 5 workingDir s; 6 ports [ContainerPort; 7 env [EnvVar
        8 resources ResourceRequirements; 9 volumeMounts [VolumeMount; 10 livenessProbe Probe; 11 readinessProbe Probe
        12 lifecycle Lifecycle; 13 terminationMessagePath s; 14 imagePullPolicy s; 15 securityContext SecurityContext
        16 stdin b; 17 stdinOnce b; 18 tty b; 19 envFrom [EnvFromSource; 20 terminationMessagePolicy s
        21 volumeDevices [VolumeDevice; 22 startupProbe Probe; 23 resizePolicy [ContainerResizePolicy
        24 restartPolicy s; 25 restartPolicyRules [ContainerRestartRule
        EphemeralContainer:
        1 - Container; 2 targetContainerName s
        PodSecurityContext:
        1 seLinuxOptions SELinuxOptions; 2 runAsUser p; 3 runAsNonRoot b; 4 supplementalGroups [i; 5 fsGroup p
        6 runAsGroup p; 7 sysctls [Sysctl; 8 windowsOptions WindowsSecurityContextOptions; 9 fsGroupChangePolicy s
        10 seccompProfile SeccompProfile; 11 appArmorProfile AppArmorProfile; 12 supplementalGroupsPolicy s
        13 seLinuxChangePolicy s
        Affinity:
        1 nodeAffinity NodeAffinity; 2 podAffinity PodAffinity; 3 podAntiAffinity PodAntiAffinity
        Toleration:
        1 key s; 2 operator s; 3 value s; 4 effect s; 5 tolerationSeconds p
        HostAlias:
        1 ip s; 2 hostnames [s
        PodDNSConfig:
        1 nameservers [s; 2 searches [s; 3 options [PodDNSConfigOption
        PodReadinessGate:
        1 conditionType s
        TopologySpreadConstraint:
        1 maxSkew i; 2 topologyKey s; 3 whenUnsatisfiable s; 4 labelSelector LabelSelector; 5 minDomains p
        6 nodeAffinityPolicy s; 7 nodeTaintsPolicy s; 8 matchLabelKeys [s
        PodOS:
        1 name s
        PodSchedulingGate:
        1 name s
        PodResourceClaim:
        1 name s; 3 resourceClaimName s; 4 resourceClaimTemplateName s
        ResourceRequirements:
        1 limits {Q; 2 requests {Q; 3 claims [ResourceClaim
        PodSchedulingGroup:
        1 podGroupName s
        EvictionResponder:
        1 name s; 2 priority p
        PodCondition:
        1 type s; 2 status s; 3 lastProbeTime T; 4 lastTransitionTime T; 5 reason s; 6 message s; 7 observedGeneration i
        HostIP:
        1 ip s
        PodIP:
        1 ip s
        ContainerStatus:
        1 name s; 2 state ContainerState; 3 lastState ContainerState; 4 ready b; 5 restartCount i; 6 image s
        7 imageID s; 8 containerID s; 9 started b; 10 allocatedResources {Q; 11 resources ResourceRequirements
        12 volumeMounts [VolumeMountStatus; 13 user ContainerUser; 14 allocatedResourcesStatus [ResourceStatus
        15 stopSignal s
        PodResourceClaimStatus:
        1 name s; 2 resourceClaimName s
        PodExtendedResourceClaimStatus:
        1 requestMappings [ContainerExtendedResourceRequest; 2 resourceClaimName s
        NodeAllocatableResourceClaimStatus:
        1 resourceClaimName s; 2 containers [s; 4 mapping [NodeAllocatableMappedResources
        5 overhead [NodeAllocatableOverheadResources
        PodVolumeHealth:
        1 name s; 2 healthConditions [VolumeHealthCondition; 3 lastTransitionTime T
        NamespaceCondition:
        1 type s; 2 status s; 4 lastTransitionTime T; 5 reason s; 6 message s
        ServicePort:
        1 name s; 2 protocol s; 3 port i; 4 targetPort I; 5 nodePort i; 6 appProtocol s
        SessionAffinityConfig:
        1 clientIP ClientIPConfig
        LoadBalancerStatus:
        1 ingress [LoadBalancerIngress
        Condition:
        1 type s; 2 status s; 3 observedGeneration i; 4 lastTransitionTime T; 5 reason s; 6 message s
        Taint:
        1 key s; 2 value s; 3 effect s; 4 timeAdded T
        NodeConfigSource:
        2 configMap ConfigMapNodeConfigSource
        NodePodPreemptionPolicy:
        1 disableResizePreemption [s
        NodeCondition:
        1 type s; 2 status s; 3 lastHeartbeatTime T; 4 lastTransitionTime T; 5 reason s; 6 message s
        NodeAddress:
        1 type s; 2 address s
        NodeDaemonEndpoints:
        1 kubeletEndpoint DaemonEndpoint
        NodeSystemInfo:
        1 machineID s; 2 systemUUID s; 3 bootID s; 4 kernelVersion s; 5 osImage s; 6 containerRuntimeVersion s
        7 kubeletVersion s; 8 kubeProxyVersion s; 9 operatingSystem s; 10 architecture s; 11 swap NodeSwapStatus
        ContainerImage:
        1 names [s; 2 sizeBytes i
        AttachedVolume:
        1 name s; 2 devicePath s
        NodeConfigStatus:
        1 assigned NodeConfigSource; 2 active NodeConfigSource; 3 lastKnownGood NodeConfigSource; 4 error s
        NodeRuntimeHandler:
        1 name s; 2 features NodeRuntimeHandlerFeatures
        NodeFeatures:
        1 supplementalGroupsPolicy b
        VolumeResourceRequirements:
        1 limits {Q; 2 requests {Q
        TypedLocalObjectReference:
        1 apiGroup s; 2 kind s; 3 name s
        TypedObjectReference:
        1 apiGroup s; 2 kind s; 3 name s; 4 namespace s
        PersistentVolumeClaimCondition:
        1 type s; 2 status s; 3 lastProbeTime T; 4 lastTransitionTime T; 5 reason s; 6 message s
        ModifyVolumeStatus:
        1 targetVolumeAttributesClassName s; 2 status s
        VolumeHealthStatus:
        1 healthConditions [VolumeHealthCondition; 2 lastTransitionTime T
        PersistentVolumeSource:
        1 gcePersistentDisk GCEPersistentDiskVolumeSource; 2 awsElasticBlockStore AWSElasticBlockStoreVolumeSource
        3 hostPath HostPathVolumeSource; 4 glusterfs GlusterfsPersistentVolumeSource; 5 nfs NFSVolumeSource
        6 rbd RBDPersistentVolumeSource; 7 iscsi ISCSIPersistentVolumeSource; 8 cinder CinderPersistentVolumeSource
        9 cephfs CephFSPersistentVolumeSource; 10 fc FCVolumeSource; 11 flocker FlockerVolumeSource
        12 flexVolume FlexPersistentVolumeSource; 13 azureFile AzureFilePersistentVolumeSource
        14 vsphereVolume VsphereVirtualDiskVolumeSource; 15 quobyte QuobyteVolumeSource
        16 azureDisk AzureDiskVolumeSource; 17 photonPersistentDisk PhotonPersistentDiskVolumeSource
        18 portworxVolume PortworxVolumeSource; 19 scaleIO ScaleIOPersistentVolumeSource; 20 local LocalVolumeSource
        21 storageos StorageOSPersistentVolumeSource; 22 csi CSIPersistentVolumeSource
        VolumeNodeAffinity:
        1 required NodeSelector
        EndpointAddress:
        1 ip s; 2 targetRef ObjectReference; 3 hostname s; 4 nodeName s
        EndpointPort:
        1 name s; 2 port p; 3 protocol s; 4 appProtocol s
        ScopeSelector:
        1 matchExpressions [ScopedResourceSelectorRequirement
        LimitRangeItem:
        1 type s; 2 max {Q; 3 min {Q; 4 default {Q; 5 defaultRequest {Q; 6 maxLimitRequestRatio {Q
        PodFailurePolicy:
        1 rules [PodFailurePolicyRule
        SuccessPolicy:
        1 rules [SuccessPolicyRule
        JobSchedulingConfiguration:
        JobCondition:
        1 type s; 2 status s; 3 lastProbeTime T; 4 lastTransitionTime T; 5 reason s; 6 message s
        UncountedTerminatedPods:
        1 succeeded [s; 2 failed [s
        JobTemplateSpec:
        1 metadata ObjectMeta; 2 spec JobSpec
        AutoscalingV1CrossVersionObjectReference:
        1 kind s; 2 name s; 3 apiVersion s
        AutoscalingV2CrossVersionObjectReference:
        1 kind s; 2 name s; 3 apiVersion s
        MetricSpec:
        1 type s; 2 object ObjectMetricSource; 3 pods PodsMetricSource; 4 resource ResourceMetricSource
        5 external ExternalMetricSource; 7 containerResource ContainerResourceMetricSource
        HorizontalPodAutoscalerBehavior:
        1 scaleUp HPAScalingRules; 2 scaleDown HPAScalingRules
        MetricStatus:
        1 type s; 2 object ObjectMetricStatus; 3 pods PodsMetricStatus; 4 resource ResourceMetricStatus
        5 external ExternalMetricStatus; 7 containerResource ContainerResourceMetricStatus
        HorizontalPodAutoscalerCondition:
        1 type s; 2 status s; 3 lastTransitionTime T; 4 reason s; 5 message s; 6 observedGeneration p
        BoundObjectReference:
        1 kind s; 2 apiVersion s; 3 name s; 4 uID s
        AttestationValue:
        1 items [s
        UserInfo:
        1 username s; 2 uid s; 3 groups [s; 4 extra {L
        ResourceAttributes:
        1 namespace s; 2 verb s; 3 group s; 4 version s; 5 resource s; 6 subresource s; 7 name s
        8 fieldSelector FieldSelectorAttributes; 9 labelSelector LabelSelectorAttributes
        NonResourceAttributes:
        1 path s; 2 verb s
        ResourceRule:
        1 verbs [s; 2 apiGroups [s; 3 resources [s; 4 resourceNames [s
        NonResourceRule:
        1 verbs [s; 2 nonResourceURLs [s
        IngressBackend:
        3 resource TypedLocalObjectReference; 4 service IngressServiceBackend
        IngressTLS:
        1 hosts [s; 2 secretName s
        IngressRule:
        1 host s; 2 - IngressRuleValue
        IngressLoadBalancerStatus:
        1 ingress [IngressLoadBalancerIngress
        NetworkPolicyIngressRule:
        1 ports [NetworkPolicyPort; 2 from [NetworkPolicyPeer
        NetworkPolicyEgressRule:
        1 ports [NetworkPolicyPort; 2 to [NetworkPolicyPeer
        IngressClassParametersReference:
        1 aPIGroup s; 2 kind s; 3 name s; 4 scope s; 5 namespace s
        EndpointConditions:
        1 ready b; 2 serving b; 3 terminating b
        EndpointHints:
        1 forZones [ForZone; 2 forNodes [ForNode
        TopologySelectorLabelRequirement:
        1 key s; 2 values [s
        LabelSelectorRequirement:
        1 key s; 2 operator s; 3 values [s
        RollingUpdateDeployment:
        1 maxUnavailable I; 2 maxSurge I
        RollingUpdateStatefulSetStrategy:
        1 partition p; 2 maxUnavailable I
        RollingUpdateDaemonSet:
        1 maxUnavailable I; 2 maxSurge I
        VolumeSource:
        1 hostPath HostPathVolumeSource; 2 emptyDir EmptyDirVolumeSource
        3 gcePersistentDisk GCEPersistentDiskVolumeSource; 4 awsElasticBlockStore AWSElasticBlockStoreVolumeSource
        5 gitRepo GitRepoVolumeSource; 6 secret SecretVolumeSource; 7 nfs NFSVolumeSource; 8 iscsi ISCSIVolumeSource
        9 glusterfs GlusterfsVolumeSource; 10 persistentVolumeClaim PersistentVolumeClaimVolumeSource
        11 rbd RBDVolumeSource; 12 flexVolume FlexVolumeSource; 13 cinder CinderVolumeSource
        14 cephfs CephFSVolumeSource; 15 flocker FlockerVolumeSource; 16 downwardAPI DownwardAPIVolumeSource
        17 fc FCVolumeSource; 18 azureFile AzureFileVolumeSource; 19 configMap ConfigMapVolumeSource
        20 vsphereVolume VsphereVirtualDiskVolumeSource; 21 quobyte QuobyteVolumeSource
        22 azureDisk AzureDiskVolumeSource; 23 photonPersistentDisk PhotonPersistentDiskVolumeSource
        24 portworxVolume PortworxVolumeSource; 25 scaleIO ScaleIOVolumeSource; 26 projected ProjectedVolumeSource
        27 storageos StorageOSVolumeSource; 28 csi CSIVolumeSource; 29 ephemeral EphemeralVolumeSource
        30 image ImageVolumeSource
        ContainerPort:
        1 name s; 2 hostPort i; 3 containerPort i; 4 protocol s; 5 hostIP s
        EnvFromSource:
        1 prefix s; 2 configMapRef ConfigMapEnvSource; 3 secretRef SecretEnvSource
        EnvVar:
        1 name s; 2 value s; 3 valueFrom EnvVarSource
        ContainerResizePolicy:
        1 resourceName s; 2 restartPolicy s
        ContainerRestartRule:
        1 action s; 2 exitCodes ContainerRestartRuleOnExitCodes
        VolumeMount:
        1 name s; 2 readOnly b; 3 mountPath s; 4 subPath s; 5 mountPropagation s; 6 subPathExpr s; 7 recursiveReadOnly s
        8 bindMountOptions [s
        VolumeDevice:
        1 name s; 2 devicePath s
        Probe:
        1 - ProbeHandler; 2 initialDelaySeconds i; 3 timeoutSeconds i; 4 periodSeconds i; 5 successThreshold i
        6 failureThreshold i; 7 terminationGracePeriodSeconds p
        Lifecycle:
        1 postStart LifecycleHandler; 2 preStop LifecycleHandler; 3 stopSignal s
        SecurityContext:
        1 capabilities Capabilities; 2 privileged b; 3 seLinuxOptions SELinuxOptions; 4 runAsUser p; 5 runAsNonRoot b
        6 readOnlyRootFilesystem b; 7 allowPrivilegeEscalation b; 8 runAsGroup p; 9 procMount s
        10 windowsOptions WindowsSecurityContextOptions; 11 seccompProfile SeccompProfile
        12 appArmorProfile AppArmorProfile
        SELinuxOptions:
        1 user s; 2 role s; 3 type s; 4 level s
        WindowsSecurityContextOptions:
        1 gmsaCredentialSpecName s; 2 gmsaCredentialSpec s; 3 runAsUserName s; 4 hostProcess b
        Sysctl:
        1 name s; 2 value s
        SeccompProfile:
        1 type s; 2 localhostProfile s
        AppArmorProfile:
        1 type s; 2 localhostProfile s
        NodeAffinity:
        1 requiredDuringSchedulingIgnoredDuringExecution NodeSelector
        2 preferredDuringSchedulingIgnoredDuringExecution [PreferredSchedulingTerm
        PodAffinity:
        1 requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm
        2 preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm
        PodAntiAffinity:
        1 requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm
        2 preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm

        """
}
