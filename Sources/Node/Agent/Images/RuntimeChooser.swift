package import Sandbox

/// Hears which OCI runtime runs containers here.
package protocol RuntimeListener: Sendable {
    func runtimeChosen(_ choice: RuntimeChoice) async
}

/// Finds the OCI runtime of this machine when the first image needs one, once.
actor RuntimeChooser {
    private let directory: String
    private let order: [OCIRuntime.Kind]
    private let listener: (any RuntimeListener)?
    private var search: Task<RuntimeChoice, Never>?

    init(directory: String, order: [OCIRuntime.Kind], listener: (any RuntimeListener)?) {
        self.directory = directory
        self.order = order
        self.listener = listener
    }

    func choice() async -> RuntimeChoice {
        if let search { return await search.value }
        let (directory, order, listener) = (directory, order, listener)
        let task = Task {
            let choice = await RuntimeSearch.find(directory: directory, order: order)
            await listener?.runtimeChosen(choice)
            return choice
        }
        search = task
        return await task.value
    }
}
