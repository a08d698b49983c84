// The fields of the kinds above pods, beside Deployments and ReplicaSets.
extension Schema {
    static let lifeTable = """
        StatefulSet:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec StatefulSetSpec!
        status any
        StatefulSetSpec:
        replicas int
        selector LabelSelector!
        template PodTemplate!
        volumeClaimTemplates [ClaimTemplate]
        serviceName string
        podManagementPolicy OrderedReady|Parallel
        updateStrategy SetStrategy
        revisionHistoryLimit int
        minReadySeconds int
        persistentVolumeClaimRetentionPolicy ClaimRetention
        ordinals SetOrdinals
        ClaimTemplate:
        apiVersion string
        kind string
        metadata ObjectMeta
        spec ClaimSpec!
        status any
        SetStrategy:
        type RollingUpdate|OnDelete
        rollingUpdate SetRollingUpdate
        SetRollingUpdate:
        partition int
        maxUnavailable intstr
        ClaimRetention:
        whenDeleted Retain|Delete
        whenScaled Retain|Delete
        SetOrdinals:
        start int
        DaemonSet:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec DaemonSetSpec!
        status any
        DaemonSetSpec:
        selector LabelSelector!
        template PodTemplate!
        updateStrategy DaemonStrategy
        minReadySeconds int
        revisionHistoryLimit int
        DaemonStrategy:
        type RollingUpdate|OnDelete
        rollingUpdate RollingUpdate
        ControllerRevision:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        data any
        revision int!
        Job:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec JobSpec!
        status any
        JobSpec:
        parallelism int
        completions int
        activeDeadlineSeconds int
        podFailurePolicy PodFailurePolicy
        successPolicy SuccessPolicy
        backoffLimit int
        backoffLimitPerIndex int
        maxFailedIndexes int
        selector LabelSelector
        manualSelector bool
        template PodTemplate!
        ttlSecondsAfterFinished int
        completionMode NonIndexed|Indexed
        suspend bool
        podReplacementPolicy TerminatingOrFailed|Failed
        managedBy string
        PodFailurePolicy:
        rules [PodFailureRule]!
        PodFailureRule:
        action FailJob|FailIndex|Ignore|Count!
        onExitCodes ExitCodeRequirement
        onPodConditions [PodConditionPattern]
        ExitCodeRequirement:
        containerName string
        operator In|NotIn!
        values [int]!
        PodConditionPattern:
        type string!
        status True|False|Unknown
        SuccessPolicy:
        rules [SuccessRule]!
        SuccessRule:
        succeededIndexes string
        succeededCount int
        CronJob:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec CronJobSpec!
        status any
        CronJobSpec:
        schedule string!
        timeZone string
        startingDeadlineSeconds int
        concurrencyPolicy Allow|Forbid|Replace
        suspend bool
        jobTemplate JobTemplate!
        successfulJobsHistoryLimit int
        failedJobsHistoryLimit int
        JobTemplate:
        metadata ObjectMeta
        spec JobSpec!
        HorizontalPodAutoscaler:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec AutoscalerSpec!
        status any
        AutoscalerSpec:
        scaleTargetRef ScaleTarget!
        minReplicas int
        maxReplicas int!
        metrics [MetricSpec]
        behavior ScalingBehavior
        ScaleTarget:
        apiVersion string
        kind string!
        name string!
        MetricSpec:
        type Resource|ContainerResource|Pods|Object|External!
        resource ResourceMetric
        containerResource ContainerResourceMetric
        pods PodsMetric
        object ObjectMetric
        external any
        ResourceMetric:
        name string!
        target MetricTarget!
        ContainerResourceMetric:
        name string!
        container string!
        target MetricTarget!
        PodsMetric:
        metric MetricName!
        target MetricTarget!
        ObjectMetric:
        describedObject ScaleTarget!
        metric MetricName!
        target MetricTarget!
        MetricName:
        name string!
        selector LabelSelector
        MetricTarget:
        type Utilization|AverageValue|Value!
        averageUtilization int
        averageValue quantity
        value quantity
        ScalingBehavior:
        scaleUp ScalingRules
        scaleDown ScalingRules
        ScalingRules:
        stabilizationWindowSeconds int
        selectPolicy Max|Min|Disabled
        policies [ScalingPolicy]
        tolerance quantity
        ScalingPolicy:
        type Pods|Percent!
        value int!
        periodSeconds int!
        PodDisruptionBudget:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        spec DisruptionBudgetSpec
        status any
        DisruptionBudgetSpec:
        minAvailable intstr
        maxUnavailable intstr
        selector LabelSelector
        unhealthyPodEvictionPolicy IfHealthyBudget|AlwaysAllow

        """
}
