/// Waits until everything is ready, and says so; or says what is not, and why.
struct Readiness: Sendable {
    let client: APIClient

    func wait(seconds: Int) async throws -> ExitCode {
        let start = ContinuousClock.now
        var overview = try await Overview.fetch(client)
        while !overview.isReady, ContinuousClock.now - start < .seconds(seconds) {
            try await Task.sleep(for: .milliseconds(50))
            overview = try await Overview.fetch(client)
        }
        let took = ContinuousClock.now - start
        for address in overview.addresses { Terminal.print("\(address.name.padded(to: 16)) \(address.url)") }
        guard overview.isReady else {
            Terminal.complain("not everything is ready after \(seconds) s:")
            for trouble in overview.troubles {
                // Some reasons bring the manifest that would help: it keeps its lines.
                for (index, line) in trouble.split(separator: "\n").enumerated() {
                    Terminal.note((index == 0 ? "  " : "      ") + Terminal.harmless(String(line)))
                }
            }
            Terminal.note(
                "It goes on trying. See 'weft get pods', 'weft logs POD', 'weft get events'; 'weft down' stops it."
            )
            return .failure
        }
        let tenths = took.components.seconds * 10 + took.components.attoseconds / 100_000_000_000_000_000
        Terminal.note(
            "ready after \(tenths / 10).\(tenths % 10) s; 'weft stat' shows figures, 'weft down' stops everything"
        )
        return .success
    }
}
