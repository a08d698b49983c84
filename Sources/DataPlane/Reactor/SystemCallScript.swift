#if DEBUG
    import Bytes
    import Synchronization

    /// Tests script what the next system calls answer: EAGAIN, short writes, resets. Absent from release builds.
    ///
    /// A script holds for the whole process, so tests that use it run alone.
    public enum SystemCallScript {
        public enum Call: Sendable { case receive, send }

        private struct State {
            var isActive = false
            var sends: [Int] = []
            var receives: [Int] = []
        }

        private static let active = Atomic<Bool>(false)
        private static let state = Lock(State())

        /// Lets the next calls answer these numbers, in order: negative = `-errno`; for `send`, positive = at most so many bytes.
        public static func script(_ call: Call, _ answers: [Int]) {
            state.withLock {
                if call == .send { $0.sends += answers } else { $0.receives += answers }
            }
            active.store(true, ordering: .releasing)
        }

        /// Ends the script.
        public static func clear() {
            state.withLock { $0 = State() }
            active.store(false, ordering: .releasing)
        }

        static func next(_ call: Call, count: Int) -> Int? {
            guard active.load(ordering: .acquiring) else { return nil }
            return state.withLock {
                if call == .send { return $0.sends.isEmpty ? nil : $0.sends.removeFirst() }
                return $0.receives.isEmpty ? nil : $0.receives.removeFirst()
            }
        }
    }
#endif
