// The fields of live views.
extension Schema {
    static let liveTable = """
        ServiceRoutes:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        status ServiceRoutesStatus
        ServiceRoutesStatus:
        windowSeconds number
        requestsPerSecond number
        routes [LiveRoute]
        LiveRoute:
        name string
        source LiveSource
        port int
        protocol string
        hostnames [string]
        match string
        state Live|Idle|NoEndpoints|NotActedOn|NotCarried|NoFigures
        message string
        backends [LiveBackend]
        retriesAllowed int
        timeoutSeconds number
        requestsPerSecond number
        retriesPerSecond number
        successRate number
        latencyMilliseconds LiveLatency
        inFlight int
        LiveSource:
        kind string
        namespace string
        name string
        LiveLatency:
        p50 number
        p95 number
        p99 number
        LiveBackend:
        service string
        port int
        weight int
        ready int
        endpoints int
        requestsPerSecond number
        successRate number
        revisions [LiveRevision]
        LiveRevision:
        workload string
        revision string
        ready int
        pods int
        ServiceHealth:
        apiVersion string!
        kind string!
        metadata ObjectMeta
        status ServiceHealthStatus
        ServiceHealthStatus:
        ready int
        ejected int
        pods int
        circuits [LiveCircuit]
        endpoints [LiveEndpoint]
        LiveCircuit:
        port int
        open bool
        panic bool
        limits [LiveLimit]
        LiveLimit:
        resource string
        inUse int
        limit int
        LiveEndpoint:
        pod string
        address string
        node string
        zone string
        version string
        workload string
        revision string
        ready bool
        phase string
        restarts int
        probes [LiveProbe]
        outlier LiveOutlier
        requestsPerSecond number
        successRate number
        inFlight int
        connections int
        LiveProbe:
        container string
        kind Startup|Liveness|Readiness
        passed bool
        message string
        lastTime time
        consecutiveFailures int
        consecutiveSuccesses int
        LiveOutlier:
        ejected bool
        until time
        cause string
        ejections int
        consecutiveErrors int

        """
}
