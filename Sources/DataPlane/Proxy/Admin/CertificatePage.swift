import TLS
import Wire

/// The page `/certs`, in Envoy's shape; beside it who uses the certificates, and what was refused.
enum CertificatePage {
    static func make(_ holders: [TLSHolder]) -> Value {
        let now = Int64(WallClock.now() / 1_000_000_000)
        let rows = holders.map { holder -> Value in
            let report = holder.report
            var row: Value = [
                "ca_cert": .array((report.context?.authorities ?? []).map { certificate($0, now) }),
                "cert_chain": .array((report.context?.certificates ?? []).map { certificate($0, now) }),
                "used_by": .string(holder.source.owner),
                "reloads": .string("\(report.reloads)"),
                "rejections": .string("\(report.rejections)"),
            ]
            if let error = report.error { row["error"] = .string(error) }
            return row
        }
        return ["certificates": .array(rows)]
    }

    private static func certificate(_ facts: CertificateFacts, _ now: Int64) -> Value {
        [
            "serial_number": .string(facts.serial),
            "subject_alt_names": .array(facts.identity.names.map(name)),
            "days_until_expiration": .string("\(max(0, (facts.notAfter - now) / 86_400))"),
            "valid_from": .string(date(facts.notBefore)),
            "expiration_time": .string(date(facts.notAfter)),
        ]
    }

    private static func name(_ name: PeerIdentity.Name) -> Value {
        switch name.kind {
        case .dns: ["dns": .string(name.text)]
        case .uri: ["uri": .string(name.text)]
        case .ip: ["ip_address": .string(name.text)]
        case .email: ["email": .string(name.text)]
        }
    }

    /// RFC 3339 of seconds since 1970 (Howard Hinnant's reckoning of days).
    static func date(_ seconds: Int64) -> String {
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let month = part < 10 ? part + 3 : part - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = dayOfYear - (153 * part + 2) / 5 + 1
        return "\(year)-\(two(month))-\(two(day))T\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))Z"
    }
}
