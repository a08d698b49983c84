// The numbers of fields, part 3 of 3: `ProtobufTable` reads these lines.
extension ProtobufTable {
    static let leaves = """
        PodDNSConfigOption:
        1 name s; 2 value s
        ResourceClaim:
        1 name s; 2 request s
        ContainerState:
        1 waiting ContainerStateWaiting; 2 running ContainerStateRunning; 3 terminated ContainerStateTerminated
        VolumeMountStatus:
        1 name s; 2 mountPath s; 3 readOnly b; 4 recursiveReadOnly s; 5 volumeStatus VolumeStatus
        ContainerUser:
        1 linux LinuxContainerUser
        ResourceStatus:
        1 name s; 2 resources [ResourceHealth
        ContainerExtendedResourceRequest:
        1 containerName s; 2 resourceName s; 3 requestName s
        NodeAllocatableMappedResources:
        1 name s; 2 quantity Q
        NodeAllocatableOverheadResources:
        1 name s; 2 perPod Q; 3 perContainer Q
        VolumeHealthCondition:
        1 status s; 2 reason s; 3 message s
        ClientIPConfig:
        1 timeoutSeconds p
        LoadBalancerIngress:
        1 ip s; 2 hostname s; 3 ipMode s; 4 ports [PortStatus
        ConfigMapNodeConfigSource:
        1 namespace s; 2 name s; 3 uid s; 4 resourceVersion s; 5 kubeletConfigKey s
        DaemonEndpoint:
        1 Port i
        NodeSwapStatus:
        1 capacity p
        NodeRuntimeHandlerFeatures:
        1 recursiveReadOnlyMounts b; 2 userNamespaces b
        GCEPersistentDiskVolumeSource:
        1 pdName s; 2 fsType s; 3 partition i; 4 readOnly b
        AWSElasticBlockStoreVolumeSource:
        1 volumeID s; 2 fsType s; 3 partition i; 4 readOnly b
        HostPathVolumeSource:
        1 path s; 2 type s
        GlusterfsPersistentVolumeSource:
        1 endpoints s; 2 path s; 3 readOnly b; 4 endpointsNamespace s
        NFSVolumeSource:
        1 server s; 2 path s; 3 readOnly b
        RBDPersistentVolumeSource:
        1 monitors [s; 2 image s; 3 fsType s; 4 pool s; 5 user s; 6 keyring s; 7 secretRef SecretReference; 8 readOnly b
        ISCSIPersistentVolumeSource:
        1 targetPortal s; 2 iqn s; 3 lun i; 4 iscsiInterface s; 5 fsType s; 6 readOnly b; 7 portals [s
        8 chapAuthDiscovery b; 10 secretRef SecretReference; 11 chapAuthSession b; 12 initiatorName s
        CinderPersistentVolumeSource:
        1 volumeID s; 2 fsType s; 3 readOnly b; 4 secretRef SecretReference
        CephFSPersistentVolumeSource:
        1 monitors [s; 2 path s; 3 user s; 4 secretFile s; 5 secretRef SecretReference; 6 readOnly b
        FCVolumeSource:
        1 targetWWNs [s; 2 lun p; 3 fsType s; 4 readOnly b; 5 wwids [s
        FlockerVolumeSource:
        1 datasetName s; 2 datasetUUID s
        FlexPersistentVolumeSource:
        1 driver s; 2 fsType s; 3 secretRef SecretReference; 4 readOnly b; 5 options {s
        AzureFilePersistentVolumeSource:
        1 secretName s; 2 shareName s; 3 readOnly b; 4 secretNamespace s
        VsphereVirtualDiskVolumeSource:
        1 volumePath s; 2 fsType s; 3 storagePolicyName s; 4 storagePolicyID s
        QuobyteVolumeSource:
        1 registry s; 2 volume s; 3 readOnly b; 4 user s; 5 group s; 6 tenant s
        AzureDiskVolumeSource:
        1 diskName s; 2 diskURI s; 3 cachingMode s; 4 fsType s; 5 readOnly b; 6 kind s
        PhotonPersistentDiskVolumeSource:
        1 pdID s; 2 fsType s
        PortworxVolumeSource:
        1 volumeID s; 2 fsType s; 3 readOnly b
        ScaleIOPersistentVolumeSource:
        1 gateway s; 2 system s; 3 secretRef SecretReference; 4 sslEnabled b; 5 protectionDomain s; 6 storagePool s
        7 storageMode s; 8 volumeName s; 9 fsType s; 10 readOnly b
        LocalVolumeSource:
        1 path s; 2 fsType s
        StorageOSPersistentVolumeSource:
        1 volumeName s; 2 volumeNamespace s; 3 fsType s; 4 readOnly b; 5 secretRef ObjectReference
        CSIPersistentVolumeSource:
        1 driver s; 2 volumeHandle s; 3 readOnly b; 4 fsType s; 5 volumeAttributes {s
        6 controllerPublishSecretRef SecretReference; 7 nodeStageSecretRef SecretReference
        8 nodePublishSecretRef SecretReference; 9 controllerExpandSecretRef SecretReference
        10 nodeExpandSecretRef SecretReference
        NodeSelector:
        1 nodeSelectorTerms [NodeSelectorTerm
        ScopedResourceSelectorRequirement:
        1 scopeName s; 2 operator s; 3 values [s
        PodFailurePolicyRule:
        1 action s; 2 onExitCodes PodFailurePolicyOnExitCodesRequirement
        3 onPodConditions [PodFailurePolicyOnPodConditionsPattern
        SuccessPolicyRule:
        1 succeededIndexes s; 2 succeededCount p
        ObjectMetricSource:
        1 describedObject AutoscalingV2CrossVersionObjectReference; 2 target MetricTarget; 3 metric MetricIdentifier
        PodsMetricSource:
        1 metric MetricIdentifier; 2 target MetricTarget
        ResourceMetricSource:
        1 name s; 2 target MetricTarget
        ContainerResourceMetricSource:
        1 name s; 2 target MetricTarget; 3 container s
        ExternalMetricSource:
        1 metric MetricIdentifier; 2 target MetricTarget
        HPAScalingRules:
        1 selectPolicy s; 2 policies [HPAScalingPolicy; 3 stabilizationWindowSeconds p; 4 tolerance Q
        ObjectMetricStatus:
        1 metric MetricIdentifier; 2 current MetricValueStatus
        3 describedObject AutoscalingV2CrossVersionObjectReference
        PodsMetricStatus:
        1 metric MetricIdentifier; 2 current MetricValueStatus
        ResourceMetricStatus:
        1 name s; 2 current MetricValueStatus
        ContainerResourceMetricStatus:
        1 name s; 2 current MetricValueStatus; 3 container s
        ExternalMetricStatus:
        1 metric MetricIdentifier; 2 current MetricValueStatus
        FieldSelectorAttributes:
        1 rawSelector s; 2 requirements [FieldSelectorRequirement
        LabelSelectorAttributes:
        1 rawSelector s; 2 requirements [LabelSelectorRequirement
        IngressServiceBackend:
        1 name s; 2 port ServiceBackendPort
        IngressRuleValue:
        1 http HTTPIngressRuleValue
        IngressLoadBalancerIngress:
        1 ip s; 2 hostname s; 4 ports [IngressPortStatus
        NetworkPolicyPort:
        1 protocol s; 2 port I; 3 endPort p
        NetworkPolicyPeer:
        1 podSelector LabelSelector; 2 namespaceSelector LabelSelector; 3 ipBlock IPBlock
        ForZone:
        1 name s
        ForNode:
        1 name s
        EmptyDirVolumeSource:
        1 medium s; 2 sizeLimit Q; 3 mode p
        GitRepoVolumeSource:
        1 repository s; 2 revision s; 3 directory s
        SecretVolumeSource:
        1 secretName s; 2 items [KeyToPath; 3 defaultMode p; 4 optional b; 5 defaultUser p
        ISCSIVolumeSource:
        1 targetPortal s; 2 iqn s; 3 lun i; 4 iscsiInterface s; 5 fsType s; 6 readOnly b; 7 portals [s
        8 chapAuthDiscovery b; 10 secretRef LocalObjectReference; 11 chapAuthSession b; 12 initiatorName s
        GlusterfsVolumeSource:
        1 endpoints s; 2 path s; 3 readOnly b
        PersistentVolumeClaimVolumeSource:
        1 claimName s; 2 readOnly b
        RBDVolumeSource:
        1 monitors [s; 2 image s; 3 fsType s; 4 pool s; 5 user s; 6 keyring s; 7 secretRef LocalObjectReference
        8 readOnly b
        FlexVolumeSource:
        1 driver s; 2 fsType s; 3 secretRef LocalObjectReference; 4 readOnly b; 5 options {s
        CinderVolumeSource:
        1 volumeID s; 2 fsType s; 3 readOnly b; 4 secretRef LocalObjectReference
        CephFSVolumeSource:
        1 monitors [s; 2 path s; 3 user s; 4 secretFile s; 5 secretRef LocalObjectReference; 6 readOnly b
        DownwardAPIVolumeSource:
        1 items [DownwardAPIVolumeFile; 2 defaultMode p; 3 defaultUser p
        AzureFileVolumeSource:
        1 secretName s; 2 shareName s; 3 readOnly b
        ConfigMapVolumeSource:
        1 - LocalObjectReference; 2 items [KeyToPath; 3 defaultMode p; 4 optional b; 5 defaultUser p
        ProjectedVolumeSource:
        1 sources [VolumeProjection; 2 defaultMode p; 3 defaultUser p
        ScaleIOVolumeSource:
        1 gateway s; 2 system s; 3 secretRef LocalObjectReference; 4 sslEnabled b; 5 protectionDomain s; 6 storagePool s
        7 storageMode s; 8 volumeName s; 9 fsType s; 10 readOnly b
        StorageOSVolumeSource:
        1 volumeName s; 2 volumeNamespace s; 3 fsType s; 4 readOnly b; 5 secretRef LocalObjectReference
        CSIVolumeSource:
        1 driver s; 2 readOnly b; 3 fsType s; 4 volumeAttributes {s; 5 nodePublishSecretRef LocalObjectReference
        EphemeralVolumeSource:
        1 volumeClaimTemplate PersistentVolumeClaimTemplate
        ImageVolumeSource:
        1 reference s; 2 pullPolicy s
        ConfigMapEnvSource:
        1 - LocalObjectReference; 2 optional b
        SecretEnvSource:
        1 - LocalObjectReference; 2 optional b
        EnvVarSource:
        1 fieldRef ObjectFieldSelector; 2 resourceFieldRef ResourceFieldSelector; 3 configMapKeyRef ConfigMapKeySelector
        4 secretKeyRef SecretKeySelector; 5 fileKeyRef FileKeySelector
        ContainerRestartRuleOnExitCodes:
        1 operator s; 2 values [i
        ProbeHandler:
        1 exec ExecAction; 2 httpGet HTTPGetAction; 3 tcpSocket TCPSocketAction; 4 grpc GRPCAction
        LifecycleHandler:
        1 exec ExecAction; 2 httpGet HTTPGetAction; 3 tcpSocket TCPSocketAction; 4 sleep SleepAction
        Capabilities:
        1 add [s; 2 drop [s
        PreferredSchedulingTerm:
        1 weight i; 2 preference NodeSelectorTerm
        PodAffinityTerm:
        1 labelSelector LabelSelector; 2 namespaces [s; 3 topologyKey s; 4 namespaceSelector LabelSelector
        5 matchLabelKeys [s; 6 mismatchLabelKeys [s
        WeightedPodAffinityTerm:
        1 weight i; 2 podAffinityTerm PodAffinityTerm
        ContainerStateWaiting:
        1 reason s; 2 message s
        ContainerStateRunning:
        1 startedAt T
        ContainerStateTerminated:
        1 exitCode i; 2 signal i; 3 reason s; 4 message s; 5 startedAt T; 6 finishedAt T; 7 containerID s
        VolumeStatus:
        1 image ImageVolumeStatus
        LinuxContainerUser:
        1 uid i; 2 gid i; 3 supplementalGroups [i
        ResourceHealth:
        1 resourceID s; 2 health s; 6 message s
        PortStatus:
        1 port i; 2 protocol s; 3 error s
        SecretReference:
        1 name s; 2 namespace s
        NodeSelectorTerm:
        1 matchExpressions [NodeSelectorRequirement; 2 matchFields [NodeSelectorRequirement
        PodFailurePolicyOnExitCodesRequirement:
        1 containerName s; 2 operator s; 3 values [i
        PodFailurePolicyOnPodConditionsPattern:
        1 type s; 2 status s
        MetricTarget:
        1 type s; 2 value Q; 3 averageValue Q; 4 averageUtilization p
        MetricIdentifier:
        1 name s; 2 selector LabelSelector
        HPAScalingPolicy:
        1 type s; 2 value i; 3 periodSeconds i
        MetricValueStatus:
        1 value Q; 2 averageValue Q; 3 averageUtilization p
        FieldSelectorRequirement:
        1 key s; 2 operator s; 3 values [s
        ServiceBackendPort:
        1 name s; 2 number i
        HTTPIngressRuleValue:
        1 paths [HTTPIngressPath
        IngressPortStatus:
        1 port i; 2 protocol s; 3 error s
        IPBlock:
        1 cidr s; 2 except [s
        KeyToPath:
        1 key s; 2 path s; 3 mode p; 4 user p
        DownwardAPIVolumeFile:
        1 path s; 2 fieldRef ObjectFieldSelector; 3 resourceFieldRef ResourceFieldSelector; 4 mode p; 5 user p
        VolumeProjection:
        1 secret SecretProjection; 2 downwardAPI DownwardAPIProjection; 3 configMap ConfigMapProjection
        4 serviceAccountToken ServiceAccountTokenProjection; 5 clusterTrustBundle ClusterTrustBundleProjection
        6 podCertificate PodCertificateProjection
        PersistentVolumeClaimTemplate:
        1 metadata ObjectMeta; 2 spec PersistentVolumeClaimSpec
        ObjectFieldSelector:
        1 apiVersion s; 2 fieldPath s
        ResourceFieldSelector:
        1 containerName s; 2 resource s; 3 divisor Q
        ConfigMapKeySelector:
        1 - LocalObjectReference; 2 key s; 3 optional b
        SecretKeySelector:
        1 - LocalObjectReference; 2 key s; 3 optional b
        FileKeySelector:
        1 volumeName s; 2 path s; 3 key s; 4 optional b
        ExecAction:
        1 command [s
        HTTPGetAction:
        1 path s; 2 port I; 3 host s; 4 scheme s; 5 httpHeaders [HTTPHeader; 6 protocol s
        TCPSocketAction:
        1 port I; 2 host s
        GRPCAction:
        1 port i; 2 service s; 3 mode s
        SleepAction:
        1 seconds i
        ImageVolumeStatus:
        1 imageRef s
        NodeSelectorRequirement:
        1 key s; 2 operator s; 3 values [s
        HTTPIngressPath:
        1 path s; 2 backend IngressBackend; 3 pathType s
        SecretProjection:
        1 - LocalObjectReference; 2 items [KeyToPath; 4 optional b
        DownwardAPIProjection:
        1 items [DownwardAPIVolumeFile
        ConfigMapProjection:
        1 - LocalObjectReference; 2 items [KeyToPath; 4 optional b
        ServiceAccountTokenProjection:
        1 audience s; 2 expirationSeconds p; 3 path s; 4 user p
        ClusterTrustBundleProjection:
        1 name s; 2 signerName s; 3 labelSelector LabelSelector; 4 path s; 5 optional b; 6 user p
        PodCertificateProjection:
        1 signerName s; 2 keyType s; 3 maxExpirationSeconds p; 4 credentialBundlePath s; 5 keyPath s
        6 certificateChainPath s; 7 userAnnotations {s; 8 user p
        HTTPHeader:
        1 name s; 2 value s

        """
}
