/// What becomes of a request by the rules about pages of other sites.
package enum CrossOrigin: Sendable, Equatable {
    /// It is none of their business.
    case notConcerned
    /// The origin was looked at; only the numbers show it.
    case watched(isValid: Bool)
    /// It goes on; its answer names the origin where that is valid.
    case goesOn(isValid: Bool)
    /// A question before a request: answered here, with permissions where the origin is valid.
    case answered(isValid: Bool)

    private static let origin = StaticRun("origin")
    private static let wanted = StaticRun("access-control-request-method")
    private static let options = StaticRun("OPTIONS")

    /// What to do with a request. The rules hold for it, are counted for it, or neither; `passesForeign`: questions of other
    /// origins go to the endpoint.
    package static func judge(
        _ request: RequestView,
        isEnforced: Bool,
        isWatched: Bool,
        passesForeign: Bool,
        allows: (ByteRun) -> Bool
    ) -> CrossOrigin {
        guard isEnforced || isWatched, let site = request.value(of: origin.run), !site.isEmpty else {
            return .notConcerned
        }
        let isValid = allows(site)
        guard isEnforced else { return .watched(isValid: isValid) }
        guard request.method.equals(options.run), !(request.value(of: wanted.run) ?? .empty).isEmpty,
            isValid || !passesForeign
        else { return .goesOn(isValid: isValid) }
        return .answered(isValid: isValid)
    }
}
