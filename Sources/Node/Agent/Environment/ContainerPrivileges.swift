package import Resources
package import Sandbox

/// Who a container runs as and what it may do, from its own and its pod's `securityContext`.
///
/// Pure. A container's own word comes before its pod's.
package struct ContainerPrivileges: Sendable, Equatable {
    package var user: Int
    package var group: Int
    package var supplementaryGroups: [Int]
    package var capabilities: Capabilities
    package var filter: SystemCallFilter
    package var hasReadOnlyRoot: Bool
    /// Capabilities that were asked for and are not given.
    package var refused: [String] = []

    /// Who it is when nothing is said is `usual`: root of the pod, or without isolation weft's own user.
    ///
    /// - Throws: when the container must not be root and would be.
    package init(
        _ container: Container,
        in pod: PodSpec,
        usual: (user: Int, group: Int) = (0, 0)
    ) throws(EnvironmentBuilder.Missing) {
        let own = container.securityContext
        let shared = pod.securityContext
        user = own.runAsUser ?? shared.runAsUser ?? usual.user
        group = own.runAsGroup ?? shared.runAsGroup ?? usual.group
        supplementaryGroups = shared.supplementalGroups + [shared.fsGroup].compactMap { $0 }
        hasReadOnlyRoot = own.readOnlyRootFilesystem
        filter =
            switch own.seccompProfile ?? shared.seccompProfile {
            case "Unconfined": .off
            case "RuntimeDefault", "Localhost": .strict
            default: .standard
            }
        capabilities = .usual
        takeCapabilities(own)
        guard own.runAsNonRoot ?? shared.runAsNonRoot ?? false, user == 0 else { return }
        throw EnvironmentBuilder.Missing(
            message: "container has runAsNonRoot and would run as root: give it a securityContext.runAsUser"
        )
    }

    /// Drops first, then adds, as container runtimes do; `ALL` is everything a container may have.
    private mutating func takeCapabilities(_ context: SecurityContext) {
        for name in context.droppedCapabilities {
            if name.uppercased() == "ALL" { capabilities = [] }
            if let one = Capabilities(name) { capabilities.remove(one) }
        }
        for name in context.addedCapabilities {
            if name.uppercased() == "ALL" {
                capabilities = .allowed
                refused.append(name)
            } else if let one = Capabilities(name), Capabilities.allowed.contains(one) {
                capabilities.insert(one)
            } else {
                refused.append(name)
            }
        }
        for name in context.droppedCapabilities where name.uppercased() != "ALL" {
            if let one = Capabilities(name) { capabilities.remove(one) }
        }
    }

    package func apply(to program: inout ProgramSpec) {
        program.user = user
        program.group = group
        program.supplementaryGroups = supplementaryGroups
        program.capabilities = capabilities
        program.filter = filter
        program.hasReadOnlyRoot = hasReadOnlyRoot
    }
}
