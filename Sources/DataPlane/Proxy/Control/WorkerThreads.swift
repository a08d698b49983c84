import Reactor

extension Worker: WorkerPort {}

/// Starts workers, each on a thread of its own.
enum WorkerThreads {
    static func start(_ setup: WorkerSetup) -> (any WorkerPort)? {
        let made = try? Worker(
            number: setup.index,
            workerCount: setup.count,
            control: setup.inbox,
            ring: setup.accessLog,
            vault: setup.vault
        )
        guard let worker = made else { return nil }
        let isStarted = SystemThread.start(name: "worker-\(setup.index)", processor: setup.processor) { worker.run() }
        return isStarted ? worker : nil
    }
}
