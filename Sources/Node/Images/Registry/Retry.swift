import Glibc

/// Tries again what may go better the next time, later each time.
enum Retry {
    struct Trouble: Error, Sendable {
        var error: ImageError
        var isPassing = false
        /// Nobody is there: it is not tried as often.
        var isUnreachable = false
        /// Seconds that the peer asked for.
        var delay: Int?

        init(
            _ error: ImageError,
            isPassing: Bool = false,
            isUnreachable: Bool = false,
            delay: Int? = nil
        ) {
            self.error = error
            self.isPassing = isPassing
            self.isUnreachable = isUnreachable
            self.delay = delay
        }
    }

    static let mostTries = 5
    private static let firstPause = 250
    private static let longestPause = 8000
    private static let longestWish = 30

    /// Milliseconds before the next try: doubling, the upper half by chance.
    static func pause(before attempt: Int, wish: Int?, chance: Double) -> Int {
        if let wish { return min(max(wish, 0), longestWish) * 1000 }
        let whole = min(longestPause, firstPause << min(attempt, 10))
        return whole / 2 + Int(Double(whole / 2) * chance)
    }

    static func run<Value>(
        _ cancellation: Cancellation,
        _ body: () throws(Trouble) -> Value
    ) throws(ImageError) -> Value {
        var attempt = 0
        while true {
            try cancellation.check()
            do throws(Trouble) { return try body() } catch {
                attempt += 1
                guard error.isPassing, attempt < (error.isUnreachable ? 2 : mostTries) else { throw error.error }
                try sleep(pause(before: attempt - 1, wish: error.delay, chance: .random(in: 0...1)), cancellation)
            }
        }
    }

    private static func sleep(_ milliseconds: Int, _ cancellation: Cancellation) throws(ImageError) {
        for _ in 0..<(milliseconds / 20 + 1) {
            try cancellation.check()
            usleep(20_000)
        }
    }
}
