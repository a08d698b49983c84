import CWeft
import Glibc
import Traffic
import Wire

/// What the event log says of a check, one JSON object a line, with Envoy's names.
struct HealthEvent {
    let name: String
    let details: Value

    /// The events of a result.
    static func events(
        _ result: CheckResult,
        before: HealthJudge,
        after: HealthJudge,
        isTimeout: Bool,
        logsFailures: Bool,
        logsSuccesses: Bool
    ) -> [HealthEvent] {
        let first: Value = .bool(before.isFirst)
        if result.isSuccess {
            var events: [HealthEvent] = []
            if !before.state.isUsable, after.state.isUsable {
                events.append(HealthEvent(name: "add_healthy_event", details: ["first_check": first]))
            } else if logsSuccesses {
                events.append(HealthEvent(name: "successful_health_check_event", details: .object(Fields())))
            }
            if before.isDegraded != after.isDegraded {
                let name = after.isDegraded ? "degraded_healthy_host" : "no_longer_degraded_host"
                events.append(HealthEvent(name: name, details: .object(Fields())))
            }
            return events
        }
        let kind: Value =
            switch result {
            case .network: isTimeout ? "NETWORK_TIMEOUT" : "NETWORK"
            case .passive: "PASSIVE"
            default: "ACTIVE"
            }
        var events: [HealthEvent] = []
        if before.state.isUsable, after.state == .failed {
            events.append(HealthEvent(name: "eject_unhealthy_event", details: ["failure_type": kind]))
        }
        if logsFailures || before.isFirst {
            events.append(
                HealthEvent(name: "health_check_failure_event", details: ["failure_type": kind, "first_check": first])
            )
        }
        return events
    }

    func line(checker: String, host: Address, cluster: String) -> [UInt8] {
        var value: Value = [
            "health_checker_type": .string(checker),
            "host": ClusterPages.address(host),
            "cluster_name": .string(cluster),
            "timestamp": .string(Self.timestamp(cweft_wall_clock())),
        ]
        value[name] = details
        return JSON.bytes(value) + [0x0A]
    }

    /// `2026-01-31T08:15:30.250Z`.
    static func timestamp(_ nanoseconds: UInt64) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let milliseconds = Int32(nanoseconds / 1_000_000 % 1000)
        return "\(digits(parts.tm_year + 1900, 4))-\(digits(parts.tm_mon + 1, 2))-\(digits(parts.tm_mday, 2))T"
            + "\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):\(digits(parts.tm_sec, 2)).\(digits(milliseconds, 3))Z"
    }

    /// Adds a line to a file, which is opened anew so that it may be moved away; what is wrong, or nil.
    static func append(_ line: [UInt8], to path: String) -> String? {
        let fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard fd >= 0 else { return String(cString: strerror(cweft_errno())) }
        defer { close(fd) }
        let count = line.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
        return count == line.count ? nil : String(cString: strerror(cweft_errno()))
    }
}
