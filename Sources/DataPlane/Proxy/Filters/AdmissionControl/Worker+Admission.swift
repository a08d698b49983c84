import Bytes
import HTTP
import Traffic

/// `admission_control`: requests are turned away while too many before them failed.
extension Worker {
    func admit(_ settings: AdmissionSettings, _ pass: FilterPass) -> FilterVerdict {
        guard settings.isEnabled else { return .next }
        var controller = controller(settings)
        let isRejected = controller.rejects(now: now, random: random.next())
        admissions[settings.memory] = controller
        guard !isRejected else {
            countFilter(settings.rejected)
            return .answered(FilterReply(status: 503, details: "denied_by_admission_control"))
        }
        setState(pass.exchange, pass.step, .admitted(now))
        return .next
    }

    /// An admitted request is over.
    func judgeAdmitted(_ settings: AdmissionSettings, _ exchange: ExchangePlace) {
        let status = exchange.pointee.status
        let isCall =
            exchange.pointee.flags.contains(.isGRPC) && (exchange.pointee.callStatus >= 0 || status == 200)
        let isSuccess =
            isCall
            ? settings.criteria.isSuccess(callStatus: exchange.pointee.callStatus)
            : settings.criteria.isSuccess(status: status)
        var controller = controller(settings)
        controller.record(isSuccess: isSuccess, now: now)
        admissions[settings.memory] = controller
        countFilter(isSuccess ? settings.succeeded : settings.failed)
    }

    private func controller(_ settings: AdmissionSettings) -> AdmissionController {
        // Taken out, so that it is changed in place and not copied.
        if let known = admissions.removeValue(forKey: settings.memory), known.settings == settings.settings {
            return known
        }
        return AdmissionController(settings.settings)
    }
}
