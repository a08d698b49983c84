// What is measured, not written.
extension ResourceTypes {
    package static let liveGroup = "live.weft.dev"

    /// One object for each Service: the routes that lead to it, and what they carry.
    package static let serviceRoutes = live("serviceroutes", "ServiceRoutes", "http")
    /// One object for each Service: its endpoints, and who says what of their health.
    package static let serviceHealth = live("servicehealths", "ServiceHealth", "healthz")

    /// The kinds that are read-only views; no store keeps them.
    package static let live: [ResourceType] = [serviceRoutes, serviceHealth]

    private static func live(_ plural: String, _ kind: String, _ shortName: String) -> ResourceType {
        ResourceType(
            group: liveGroup,
            version: "v1alpha1",
            plural: plural,
            kind: kind,
            shortNames: [shortName],
            categories: ["live"],
            isActedOn: true
        )
    }
}

extension ResourceType {
    /// Measured, not written.
    package var isLive: Bool { group == ResourceTypes.liveGroup }
}
