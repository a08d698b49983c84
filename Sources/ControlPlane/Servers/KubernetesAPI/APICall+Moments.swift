import Resources
import Store

// Of which moment a reader wants to know: `resourceVersion`, `resourceVersionMatch`, `limit` and `continue`.
extension APICall {
    /// What a list holds back and of which moment it is.
    func listOptions() async throws(APIError) -> ListOptions {
        let (labels, fields) = try selectors()
        let limit = try limit()
        let continuation = request.queryValue("continue").flatMap { $0.isEmpty ? nil : $0 }
        return ListOptions(
            labels: labels,
            fields: fields,
            limit: limit,
            continuation: continuation,
            revision: try await exactRevision(hasLimit: limit > 0, continues: continuation != nil)
        )
    }

    private func limit() throws(APIError) -> Int {
        guard let text = request.queryValue("limit"), !text.isEmpty else { return 0 }
        guard let limit = Int(text), limit >= 0 else {
            throw .badRequest("limit: Invalid value: \"\(text.prefix(40))\": must be a whole number of 0 or more")
        }
        return limit
    }

    /// The revision of which a list shows the state; nil for now, which is never older than what was asked for.
    private func exactRevision(hasLimit: Bool, continues: Bool) async throws(APIError) -> Revision? {
        let match = request.queryValue("resourceVersionMatch") ?? ""
        try checkMatch(match, continues: continues)
        guard let revision = try revision(), revision > 0 else { return nil }
        guard !continues else {
            throw .badRequest("specifying resource version is not allowed when using continue")
        }
        try await refuseFuture(revision)
        // Pages without a word about it are of exactly that moment, too.
        return match == "Exact" || match.isEmpty && hasLimit ? revision : nil
    }

    private func checkMatch(_ match: String, continues: Bool) throws(APIError) {
        if Self.isTrue(request.queryValue("sendInitialEvents")) {
            throw Self.wrongOptions(
                "sendInitialEvents",
                .forbidden,
                "Forbidden: sendInitialEvents is forbidden for list"
            )
        }
        guard !match.isEmpty else { return }
        let version = request.queryValue("resourceVersion") ?? ""
        guard !version.isEmpty else { throw Self.wrongMatch("is forbidden unless resourceVersion is provided") }
        guard !continues else { throw Self.wrongMatch("is forbidden when continue is provided") }
        guard match == "Exact" || match == "NotOlderThan" else {
            throw Self.wrongOptions(
                "resourceVersionMatch",
                .notSupported,
                "Unsupported value: \"\(match.prefix(40))\": supported values: \"Exact\", \"NotOlderThan\""
            )
        }
        if match == "Exact", version == "0" {
            throw Self.wrongMatch("\"exact\" is forbidden for resourceVersion \"0\"")
        }
    }

    private static func wrongMatch(_ why: String) -> APIError {
        wrongOptions("resourceVersionMatch", .forbidden, "Forbidden: resourceVersionMatch \(why)")
    }

    private static func wrongOptions(_ name: String, _ reason: FieldError.Reason, _ why: String) -> APIError {
        var details = APIError.Details()
        details.group = "meta.k8s.io"
        details.kind = "ListOptions"
        details.causes = [FieldError(name, reason, why)]
        return APIError(
            code: 422,
            reason: .invalid,
            message: "ListOptions.meta.k8s.io \"\" is invalid: \(name): \(why)",
            details: details
        )
    }

    /// The revision that the request names; nil for none.
    private func revision() throws(APIError) -> Revision? {
        guard let text = request.queryValue("resourceVersion"), !text.isEmpty else { return nil }
        guard let revision = Revision(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw .badRequest(
                "invalid resource version: resourceVersion: Invalid value: \"\(text.prefix(40))\": must be a decimal number"
            )
        }
        return revision
    }

    /// Refuses a revision that is not written yet.
    private func refuseFuture(_ revision: Revision) async throws(APIError) {
        let current = await store.currentRevision()
        if revision > current { throw .tooLargeVersion(revision, current: current) }
    }

    /// Checks that one object is read of a moment that was: what is read is never older than that.
    func checkMoment() async throws(APIError) {
        if let revision = try revision() { try await refuseFuture(revision) }
    }

    /// The revision that a watch goes on from; nil for "everything first".
    func startRevision(sendsInitial: Bool) async throws(APIError) -> Revision? {
        let match = request.queryValue("resourceVersionMatch") ?? ""
        if request.queryValue("sendInitialEvents") == nil, !match.isEmpty {
            throw Self.wrongMatch("is forbidden for watch unless sendInitialEvents is provided")
        }
        if sendsInitial, match != "NotOlderThan" {
            throw Self.wrongMatch("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        }
        guard let revision = try revision(), revision > 0 else { return nil }
        try await refuseFuture(revision)
        return sendsInitial ? nil : revision
    }
}
