/// What a DaemonSet does on one machine.
///
/// Pure.
package struct DaemonArithmetic: Equatable, Sendable {
    package struct Pod: Equatable, Sendable {
        package var name: String
        package var isNew: Bool
        package var isEnding: Bool
        package var hasFailed: Bool
        package var isAvailable: Bool
        /// RFC 3339 text; of several the oldest stays.
        package var created: String

        package init(
            _ name: String,
            isNew: Bool,
            isEnding: Bool = false,
            hasFailed: Bool = false,
            isAvailable: Bool = true,
            created: String = ""
        ) {
            self.name = name
            self.isNew = isNew
            self.isEnding = isEnding
            self.hasFailed = hasFailed
            self.isAvailable = isAvailable
            self.created = created
        }
    }

    package struct Step: Equatable, Sendable {
        package var creates = false
        package var deletes: [String] = []

        package init(creates: Bool = false, deletes: [String] = []) {
            self.creates = creates
            self.deletes = deletes
        }
    }

    /// Whether the machine is one of the set's.
    package var belongsHere: Bool
    /// Whether a pod that runs on a machine which is not one of the set's any more stays there.
    package var mayStay: Bool
    package var updatesOnDelete: Bool
    /// A new pod runs before the old one is ended.
    package var surges: Bool

    package init(
        belongsHere: Bool = true,
        mayStay: Bool = false,
        updatesOnDelete: Bool = false,
        surges: Bool = false
    ) {
        self.belongsHere = belongsHere
        self.mayStay = mayStay
        self.updatesOnDelete = updatesOnDelete
        self.surges = surges
    }

    package func step(_ pods: [Pod]) -> Step {
        let here = pods.filter { !$0.isEnding }
        guard belongsHere else { return Step(deletes: mayStay ? [] : here.map(\.name).sorted()) }
        let failed = here.filter(\.hasFailed).map(\.name).sorted()
        guard failed.isEmpty else { return Step(deletes: failed) }
        // The oldest of several equals stays, an available one before others.
        func order(_ pods: [Pod]) -> [Pod] {
            pods.sorted {
                ($0.isAvailable ? 0 : 1, $0.created, $0.name) < ($1.isAvailable ? 0 : 1, $1.created, $1.name)
            }
        }
        let new = order(here.filter(\.isNew))
        let old = order(here.filter { !$0.isNew })
        var step = Step(deletes: (new.dropFirst() + old.dropFirst()).map(\.name))
        switch (new.first, old.first) {
        case (nil, nil):
            // A pod that is ending still has the machine, unless pods may overlap.
            step.creates = surges || pods.isEmpty
        case (nil, let present?):
            if updatesOnDelete { break }
            if surges {
                step.creates = true
                if !present.isAvailable { step.deletes.append(present.name) }
            } else {
                step.deletes.append(present.name)
            }
        case (let successor?, let present?):
            if updatesOnDelete || successor.isAvailable || !present.isAvailable { step.deletes.append(present.name) }
        case (_?, nil): break
        }
        return step
    }
}
