import Glibc
import Resources
import Wire

/// Refuses a CronJob whose time zone this machine does not know: its schedule would never come.
struct ZoneAdmission: Admission {
    func admit(_ object: inout Object, replacing old: Object?, view: any StoreView) throws(APIError) {
        guard object.kind == "CronJob", let zone = object.spec.text("timeZone"), zone != old?.spec.text("timeZone"),
            !["UTC", "Etc/UTC"].contains(zone)
        else { return }
        // What is no name at all is refused by the kind's own rules.
        guard !zone.isEmpty, zone.utf8.count <= 255, !zone.hasPrefix("/"), !zone.split(separator: "/").contains("..")
        else { return }
        guard access("/usr/share/zoneinfo/\(zone)", R_OK) != 0 else { return }
        let why = "Invalid value: \"\(zone.prefix(80))\": unknown time zone \(zone.prefix(80))"
        guard access("/usr/share/zoneinfo", R_OK) == 0, let type = object.type else { return }
        throw .invalid(type, object.name, [FieldError("spec.timeZone", .invalid, why)])
    }
}
