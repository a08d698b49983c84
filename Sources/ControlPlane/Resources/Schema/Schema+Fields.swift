// The fields of the kinds that Weft acts on: all that Kubernetes 1.32 knows, so that manifests from anywhere are read.
extension Schema {
    static let metadataTable = """
        ObjectMeta:
        name string
        generateName string
        namespace string
        uid string
        resourceVersion string
        generation int
        creationTimestamp time
        deletionTimestamp time
        deletionGracePeriodSeconds int
        selfLink string
        labels {string}
        annotations {string}
        ownerReferences [OwnerReference]@uid
        finalizers [string]
        managedFields any
        OwnerReference:
        apiVersion string!
        kind string!
        name string!
        uid string!
        controller bool
        blockOwnerDeletion bool
        ObjectReference:
        apiVersion string
        kind string
        name string
        namespace string
        uid string
        resourceVersion string
        fieldPath string
        LocalReference:
        name string
        LabelSelector:
        matchLabels {string}
        matchExpressions [SelectorExpression]
        SelectorExpression:
        key string!
        operator In|NotIn|Exists|DoesNotExist!
        values [string]
        Namespace:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec NamespaceSpec
        status any
        NamespaceSpec:
        finalizers [string]
        Node:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec any
        status any
        ServiceAccount:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        secrets [ObjectReference]@name
        imagePullSecrets [LocalReference]
        automountServiceAccountToken bool
        ConfigMap:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        data {string}
        binaryData {bytes}
        immutable bool
        Secret:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        data {bytes}
        stringData {string}
        type string
        immutable bool
        Event:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        involvedObject ObjectReference!
        reason string
        message string
        source EventSource
        firstTimestamp time
        lastTimestamp time
        count int
        type string
        eventTime time
        series any
        action string
        related ObjectReference
        reportingComponent string
        reportingInstance string
        EventSource:
        component string
        host string
        Image:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ImageSpec!
        status any
        ImageSpec:
        image string
        directory string!
        command [string]
        env [EnvVar]@name

        """

    static let workloadTable = """
        Deployment:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec DeploymentSpec!
        status any
        DeploymentSpec:
        replicas int
        selector LabelSelector!
        template PodTemplate!
        strategy DeploymentStrategy
        minReadySeconds int
        revisionHistoryLimit int
        paused bool
        progressDeadlineSeconds int
        DeploymentStrategy:
        type RollingUpdate|Recreate
        rollingUpdate RollingUpdate
        RollingUpdate:
        maxUnavailable intstr
        maxSurge intstr
        ReplicaSet:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ReplicaSetSpec!
        status any
        ReplicaSetSpec:
        replicas int
        minReadySeconds int
        selector LabelSelector!
        template PodTemplate!
        PodTemplate:
        metadata ObjectMeta
        spec PodSpec!
        Pod:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec PodSpec!
        status any

        """

    static let storageTable = """
        PersistentVolumeClaim:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ClaimSpec!
        status any
        ClaimSpec:
        accessModes [string]
        selector LabelSelector
        resources ResourceRequirements
        volumeName string
        storageClassName string
        volumeMode Filesystem|Block
        dataSource any~
        dataSourceRef any~
        volumeAttributesClassName string~
        PersistentVolume:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec VolumeSpec!
        status any
        VolumeSpec:
        capacity {quantity}
        accessModes [string]
        claimRef ObjectReference
        persistentVolumeReclaimPolicy Retain|Delete|Recycle
        storageClassName string
        mountOptions [string]~
        volumeMode Filesystem|Block
        nodeAffinity any
        hostPath HostPath
        local LocalVolume
        csi any~
        nfs any~
        iscsi any~
        awsElasticBlockStore any~
        azureDisk any~
        azureFile any~
        cephfs any~
        cinder any~
        fc any~
        flexVolume any~
        flocker any~
        gcePersistentDisk any~
        glusterfs any~
        photonPersistentDisk any~
        portworxVolume any~
        quobyte any~
        rbd any~
        scaleIO any~
        storageos any~
        vsphereVolume any~
        volumeAttributesClassName string~
        LocalVolume:
        path string!
        fsType string~

        """

    static let networkTable = """
        Service:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec ServiceSpec!
        status any
        ServiceSpec:
        ports [ServicePort]@port
        selector {string}
        clusterIP string
        clusterIPs [string]
        type ClusterIP|NodePort|LoadBalancer|ExternalName
        externalIPs [string]~
        sessionAffinity None|ClientIP
        sessionAffinityConfig any
        loadBalancerIP string
        loadBalancerSourceRanges [string]~
        loadBalancerClass string
        externalName string
        externalTrafficPolicy Cluster|Local
        internalTrafficPolicy Cluster|Local
        healthCheckNodePort int
        publishNotReadyAddresses bool
        ipFamilies [string]
        ipFamilyPolicy SingleStack|PreferDualStack|RequireDualStack
        allocateLoadBalancerNodePorts bool
        trafficDistribution string
        ServicePort:
        name string
        protocol TCP|UDP|SCTP
        appProtocol string
        port int!
        targetPort intstr
        nodePort int
        Endpoints:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        subsets [EndpointSubset]
        EndpointSubset:
        addresses [EndpointAddress]
        notReadyAddresses [EndpointAddress]
        ports [EndpointPort]
        EndpointAddress:
        ip string!
        hostname string
        nodeName string
        targetRef ObjectReference
        EndpointPort:
        name string
        port int
        protocol TCP|UDP|SCTP
        appProtocol string
        EndpointSlice:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        addressType IPv4|IPv6|FQDN!
        endpoints [SliceEndpoint]
        ports [EndpointPort]
        SliceEndpoint:
        addresses [string]!
        conditions EndpointConditions
        hostname string
        targetRef ObjectReference
        deprecatedTopology {string}
        nodeName string
        zone string
        hints any
        EndpointConditions:
        ready bool
        serving bool
        terminating bool
        Ingress:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec IngressSpec
        status any
        IngressSpec:
        ingressClassName string
        defaultBackend IngressBackend
        tls [IngressTLS]~
        rules [IngressRule]
        IngressTLS:
        hosts [string]
        secretName string
        IngressRule:
        host string
        http HTTPIngress
        HTTPIngress:
        paths [HTTPIngressPath]!
        HTTPIngressPath:
        path string
        pathType Exact|Prefix|ImplementationSpecific!
        backend IngressBackend!
        IngressBackend:
        service IngressService
        resource any~
        IngressService:
        name string!
        port ServiceBackendPort
        ServiceBackendPort:
        name string
        number int

        """
}
