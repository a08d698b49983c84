extension Schema {
    static let podTable = """
        PodSpec:
        volumes [Volume]@name
        initContainers [Container]@name
        containers [Container]@name!
        ephemeralContainers [Container]@name~
        restartPolicy Always|OnFailure|Never
        terminationGracePeriodSeconds int
        activeDeadlineSeconds int
        dnsPolicy ClusterFirst|ClusterFirstWithHostNet|Default|None
        nodeSelector {string}
        serviceAccountName string
        serviceAccount string
        automountServiceAccountToken bool
        nodeName string
        hostNetwork bool~
        hostPID bool~
        hostIPC bool~
        shareProcessNamespace bool
        securityContext PodSecurityContext
        imagePullSecrets [LocalReference]@name
        hostname string
        subdomain string
        affinity any
        schedulerName string
        tolerations [Toleration]
        hostAliases [HostAlias]@ip
        priorityClassName string
        priority int
        dnsConfig DNSConfig
        readinessGates [ReadinessGate]
        runtimeClassName string~
        enableServiceLinks bool
        preemptionPolicy PreemptLowerPriority|Never
        overhead {quantity}
        topologySpreadConstraints [TopologySpread]
        setHostnameAsFQDN bool
        os any
        hostUsers bool
        schedulingGates [SchedulingGate]@name
        resourceClaims any~
        resources ResourceRequirements
        Container:
        name string!
        image string
        command [string]
        args [string]
        workingDir string
        ports [ContainerPort]@containerPort
        envFrom [EnvFromSource]
        env [EnvVar]@name
        resources ResourceRequirements
        resizePolicy any
        restartPolicy Always|OnFailure|Never
        volumeMounts [VolumeMount]@mountPath
        volumeDevices any~
        livenessProbe Probe
        readinessProbe Probe
        startupProbe Probe
        lifecycle Lifecycle
        terminationMessagePath string
        terminationMessagePolicy File|FallbackToLogsOnError
        imagePullPolicy Always|IfNotPresent|Never
        securityContext SecurityContext
        stdin bool
        stdinOnce bool
        tty bool
        targetContainerName string
        ContainerPort:
        name string
        hostPort int
        containerPort int!
        protocol TCP|UDP|SCTP
        hostIP string
        EnvFromSource:
        prefix string
        configMapRef OptionalReference
        secretRef OptionalReference
        OptionalReference:
        name string
        optional bool
        EnvVar:
        name string!
        value string
        valueFrom EnvVarSource
        EnvVarSource:
        fieldRef FieldRef
        resourceFieldRef ResourceFieldRef
        configMapKeyRef KeyRef
        secretKeyRef KeyRef
        FieldRef:
        apiVersion string
        fieldPath string!
        ResourceFieldRef:
        containerName string
        resource string!
        divisor quantity
        KeyRef:
        name string
        key string!
        optional bool
        ResourceRequirements:
        limits {quantity}
        requests {quantity}
        claims any~
        VolumeMount:
        name string!
        readOnly bool
        recursiveReadOnly string
        mountPath string!
        subPath string
        mountPropagation string
        subPathExpr string
        Probe:
        exec ExecAction
        httpGet HTTPGetAction
        tcpSocket TCPSocketAction
        grpc GRPCAction
        initialDelaySeconds int
        timeoutSeconds int
        periodSeconds int
        successThreshold int
        failureThreshold int
        terminationGracePeriodSeconds int
        Lifecycle:
        postStart LifecycleHandler
        preStop LifecycleHandler
        stopSignal string~
        LifecycleHandler:
        exec ExecAction
        httpGet HTTPGetAction
        tcpSocket TCPSocketAction
        sleep SleepAction
        ExecAction:
        command [string]
        HTTPGetAction:
        path string
        port intstr!
        host string
        scheme HTTP|HTTPS
        httpHeaders [HTTPHeader]
        HTTPHeader:
        name string!
        value string!
        TCPSocketAction:
        port intstr!
        host string
        GRPCAction:
        port int!
        service string
        SleepAction:
        seconds int!
        SecurityContext:
        capabilities Capabilities
        privileged bool
        seLinuxOptions any
        windowsOptions any
        runAsUser int
        runAsGroup int
        runAsNonRoot bool
        readOnlyRootFilesystem bool
        allowPrivilegeEscalation bool
        procMount string
        seccompProfile any
        appArmorProfile any
        Capabilities:
        add [string]
        drop [string]
        PodSecurityContext:
        seLinuxOptions any
        windowsOptions any
        runAsUser int
        runAsGroup int
        runAsNonRoot bool
        supplementalGroups [int]
        supplementalGroupsPolicy string
        fsGroup int
        sysctls any
        fsGroupChangePolicy string
        seccompProfile any
        appArmorProfile any
        seLinuxChangePolicy string
        Toleration:
        key string
        operator string
        value string
        effect string
        tolerationSeconds int
        HostAlias:
        ip string!
        hostnames [string]
        TopologySpread:
        maxSkew int!
        topologyKey string!
        whenUnsatisfiable DoNotSchedule|ScheduleAnyway!
        labelSelector LabelSelector
        minDomains int
        nodeAffinityPolicy Honor|Ignore
        nodeTaintsPolicy Honor|Ignore
        matchLabelKeys [string]
        SchedulingGate:
        name string!
        ReadinessGate:
        conditionType string!
        DNSConfig:
        nameservers [string]
        searches [string]
        options [DNSOption]
        DNSOption:
        name string
        value string
        Volume:
        name string!
        emptyDir EmptyDir
        hostPath HostPath
        configMap ConfigMapVolume
        secret SecretVolume
        downwardAPI DownwardVolume
        projected ProjectedVolume
        persistentVolumeClaim ClaimVolume
        ephemeral any~
        csi any~
        nfs any~
        iscsi any~
        image any~
        gitRepo any~
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
        ClaimVolume:
        claimName string!
        readOnly bool
        EmptyDir:
        medium string
        sizeLimit quantity
        HostPath:
        path string!
        type string
        ConfigMapVolume:
        name string
        items [KeyToPath]
        defaultMode int
        optional bool
        SecretVolume:
        secretName string
        items [KeyToPath]
        defaultMode int
        optional bool
        KeyToPath:
        key string!
        path string!
        mode int
        DownwardVolume:
        items [DownwardFile]
        defaultMode int
        DownwardFile:
        path string!
        fieldRef FieldRef
        resourceFieldRef ResourceFieldRef
        mode int
        ProjectedVolume:
        sources [Projection]
        defaultMode int
        Projection:
        configMap ProjectedMap
        secret ProjectedMap
        downwardAPI DownwardVolume
        serviceAccountToken any~
        clusterTrustBundle any~
        ProjectedMap:
        name string
        items [KeyToPath]
        optional bool

        """
}
