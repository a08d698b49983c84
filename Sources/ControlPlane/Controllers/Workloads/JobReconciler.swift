package import Resources
import Store
import Wire

/// Runs a Job's pods until enough of them succeeded or too many failed.
package struct JobReconciler: Reconciler {
    package let name = "job"
    static let component = "job-controller"
    let cluster: Cluster

    package init(_ cluster: Cluster) { self.cluster = cluster }

    package func keys(for change: Change, in state: borrowing ClusterState) -> [ObjectKey] {
        switch change.key.type {
        case ResourceTypes.jobs: return [change.key]
        case ResourceTypes.pods: return change.owners(of: ResourceTypes.jobs, in: state) { JobSpec($0.spec).selector }
        default: return []
        }
    }

    package func reconcile(_ key: ObjectKey) async throws(APIError) -> Int? {
        guard let job = await cluster.get(key), !job.isDeleting else {
            try await letGo(key)
            return nil
        }
        let spec = JobSpec(job.spec)
        guard !spec.isManagedElsewhere else { return nil }
        if let finish = JobStatus(job.status).finish {
            try await letGo(key, of: job.uid)
            return try await expire(job, spec, since: finish)
        }
        let crew = PodCrew(cluster: cluster, owner: job, component: Self.component)
        try await crew.adoptAndRelease(spec.selector)
        let now = cluster.now()
        let census = await census(job, now)
        var plan = JobPlan(census, now: now)
        plan.judge()
        try await writeStatus(plan, crew)
        for pod in census.released(isEnding: plan.isEnding) { try await release(pod) }
        let wait: Int?
        if plan.isEnding {
            for pod in census.active { try await crew.delete(pod.name) }
            wait = nil
        } else {
            wait = try await manage(plan, crew)
        }
        return [wait, plan.deadlineLeft].compactMap { $0 }.min().map { $0 * 1000 + 50 }
    }

    private func census(_ job: Object, _ now: Timestamp) async -> JobCensus {
        let pods = await cluster.read { $0.controlled(by: job.uid, ResourceTypes.pods) }
        return JobCensus(job, pods: pods, now: now)
    }

    /// A Job that is over, or gone, counts no more: its pods are free to go.
    private func letGo(_ key: ObjectKey, of uid: String? = nil) async throws(APIError) {
        let pods = await cluster.read { state in
            state.list(ResourceTypes.pods, namespace: key.namespace).filter { pod in
                guard pod.finalizers.contains(JobLabels.finalizer), let owner = pod.controller else { return false }
                return uid.map { owner.uid == $0 } ?? (owner.kind == "Job" && owner.name == key.name)
            }
        }
        for pod in pods { try await release(pod) }
    }

    private func release(_ pod: Object) async throws(APIError) {
        let key = ObjectKey(ResourceTypes.pods, namespace: pod.namespace, name: pod.name)
        guard var latest = await cluster.get(key), latest.uid == pod.uid,
            latest.finalizers.contains(JobLabels.finalizer)
        else { return }
        latest.finalizers.removeAll { $0 == JobLabels.finalizer }
        do {
            let written = try await cluster.replace(latest)
            // The last finalizer of a pod that was being deleted took the pod with it.
            if written.isDeleting, written.finalizers.isEmpty, written.deletionGracePeriodSeconds == 0 {
                await cluster.cache.deleted(.removed(written))
            }
        } catch {
            guard error.reason == .notFound else { throw error }
        }
    }

    /// Deletes a Job when its time after its end is over.
    private func expire(_ job: Object, _ spec: JobSpec, since finish: Condition) async throws(APIError) -> Int? {
        guard let seconds = spec.ttlSecondsAfterFinished, let time = finish.lastTransitionTime else { return nil }
        let left = seconds - cluster.now().seconds(since: time)
        guard left <= 0 else { return min(left, 3600) * 1000 + 50 }
        let key = ObjectKey(ResourceTypes.jobs, namespace: job.namespace, name: job.name)
        try await cluster.delete(key, DeleteOptions(uid: job.uid))
        return nil
    }

    // MARK: Pods

    /// Makes or ends pods.
    ///
    /// - Returns: seconds until failed pods may be made up for.
    private func manage(_ plan: JobPlan, _ crew: PodCrew) async throws(APIError) -> Int? {
        let census = plan.census
        let spec = census.spec
        if spec.isSuspended {
            for pod in census.active { try await dismiss(pod, crew) }
            return nil
        }
        let missing = plan.arithmetic.missing
        if missing < 0 {
            let ranks = PodCensus(census.active, minReadySeconds: 0, now: plan.now).ranks(now: plan.now)
            for name in PodRank.victims(of: ranks, count: -missing) {
                guard let pod = census.active.first(where: { $0.name == name }) else { continue }
                try await dismiss(pod, crew)
            }
            return nil
        }
        guard missing > 0 else { return nil }
        if spec.backoffLimitPerIndex == nil {
            let left = JobBackOff.remaining(
                failures: census.failureTimes,
                successes: census.successTimes,
                now: plan.now
            )
            if left > 0 { return left }
        }
        let count = min(missing, SlowStart.burst)
        guard spec.isIndexed, let completions = spec.completions else {
            try await crew.create((0..<count).map { _ in pod(crew, census) })
            return nil
        }
        return try await createIndexed(count, completions, plan, crew)
    }

    private func createIndexed(
        _ count: Int,
        _ completions: Int,
        _ plan: JobPlan,
        _ crew: PodCrew
    ) async throws(APIError) -> Int? {
        let census = plan.census
        var taken = Set(census.active.compactMap(JobCensus.index))
        if census.spec.replacesOnlyEnded { taken.formUnion(census.ending.compactMap(JobCensus.index)) }
        var wait: Int?
        if census.spec.backoffLimitPerIndex != nil {
            for (index, failures) in census.failuresByIndex {
                let since = plan.now.seconds(since: census.lastFailureByIndex[index] ?? plan.now)
                let left = JobBackOff.delay(failures: failures) - max(0, since)
                guard left > 0 else { continue }
                taken.insert(index)
                wait = min(wait ?? left, left)
            }
        }
        let indexes = JobArithmetic.nextIndexes(
            count: count,
            completions: completions,
            done: census.succeededIndexes,
            failed: census.failedIndexes,
            active: taken
        )
        try await crew.create(indexes.map { pod(crew, census, index: $0) })
        return wait
    }

    /// Ends a pod that is too many: it counts as nothing.
    private func dismiss(_ pod: Object, _ crew: PodCrew) async throws(APIError) {
        try await release(pod)
        try await crew.delete(pod.name)
    }

    private func pod(_ crew: PodCrew, _ census: JobCensus, index: Int? = nil) -> Object {
        let name = census.job.name
        let template = census.spec.template.value
        guard let index else {
            var pod = crew.pod(of: template, stem: String(name.prefix(58)))
            pod.finalizers.append(JobLabels.finalizer)
            return pod
        }
        var pod = crew.pod(of: template, stem: "\(name.prefix(50))-\(index)")
        pod.finalizers.append(JobLabels.finalizer)
        pod.value.set(["metadata", "labels", JobLabels.index], .string("\(index)"))
        pod.value.set(["metadata", "annotations", JobLabels.index], .string("\(index)"))
        if census.spec.backoffLimitPerIndex != nil {
            let failures = census.failuresByIndex[index] ?? 0
            pod.value.set(["metadata", "annotations", JobLabels.indexFailures], .string("\(failures)"))
        }
        if pod.spec["hostname"] == nil { pod.value.set(["spec", "hostname"], .string("\(name)-\(index)")) }
        let variable: Value = [
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.annotations['\(JobLabels.index)']")]],
        ]
        pod.value.update("spec") { spec in
            for list in ["containers", "initContainers"] {
                spec.updateEach(list) { container in
                    let others = container.list("env").filter { $0.text("name") != "JOB_COMPLETION_INDEX" }
                    container["env"] = .array(others + [variable])
                }
            }
        }
        return pod
    }
}
