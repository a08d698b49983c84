/// What completes and refuses writes in every store, in this order: quotas count what all others made of an object.
package enum StandardAdmissions {
    package static let all: [any Admission] = [
        ServiceAllocator(), PriorityAdmission(), LimitAdmission(), ZoneAdmission(), PolicyAdmission(), QuotaAdmission(),
    ]
}
