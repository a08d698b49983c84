import Bytes
import Glibc
import Resources
import Wire

/// How `weft image` shows what there is.
enum ImageViews {
    static func list(_ desk: ImageDesk, _ format: OutputFormat, isQuiet: Bool) async throws {
        let answer = try await desk.list()
        let images = answer["images"]?.arrayValue ?? []
        if isQuiet {
            for image in images { Terminal.print(image["id"]?.stringValue ?? "") }
            return
        }
        switch format {
        case .json: Terminal.print(JSON.write(answer, pretty: true))
        case .yaml: Terminal.print(YAML.write(answer), terminator: "")
        case .name: for image in images { for name in names(of: image) { Terminal.print(name) } }
        case .table, .wide:
            guard !images.isEmpty else { return Terminal.note("there are no images") }
            Terminal.print(table(images, isWide: format == .wide).text())
        }
    }

    static func inspect(_ desk: ImageDesk, _ word: String, _ format: OutputFormat) async throws {
        let answer = try await desk.inspect(word)
        Terminal.print(format == .yaml ? YAML.write(answer).trimmed : JSON.write(answer, pretty: true))
    }

    static func show(_ removal: Value, _ format: OutputFormat) {
        if format == .json { return Terminal.print(JSON.write(removal, pretty: true)) }
        for name in removal["untagged"]?.arrayValue ?? [] { Terminal.print("untagged: \(name.stringValue ?? "")") }
        for id in removal["deleted"]?.arrayValue ?? [] { Terminal.print("deleted: \(id.stringValue ?? "")") }
        let bytes = removal["bytes"]?.intValue ?? 0
        if bytes > 0 { Terminal.note("\(size(bytes)) are free again") }
    }

    private static func names(of image: Value) -> [String] {
        let names = (image["names"]?.arrayValue ?? []).compactMap(\.stringValue)
        return names.isEmpty ? [image["id"]?.stringValue ?? ""] : names
    }

    private static func table(_ images: [Value], isWide: Bool) -> TextTable {
        var table = TextTable(
            ["NAME", "IMAGE ID", "SIZE", "AGE"] + (isWide ? ["PLATFORM", "LAYERS", "KEPT", "USED BY", "DIGEST"] : []),
            rightAligned: [2]
        )
        let now = Int(time(nil))
        for image in images {
            let id = String((image["id"]?.stringValue ?? "").dropFirst(7).prefix(12))
            let names = (image["names"]?.arrayValue ?? []).compactMap(\.stringValue)
            for name in names.isEmpty ? ["<none>"] : names {
                var row = [
                    name, id, size(image["size"]?.intValue ?? 0), age(now - (image["stored"]?.intValue ?? now)),
                ]
                if isWide {
                    row += [
                        image["platform"]?.stringValue ?? "", "\(image["layers"]?.arrayValue?.count ?? 0)",
                        image["kept"]?.boolValue == true ? "yes" : "no", "\(image["usedBy"]?.arrayValue?.count ?? 0)",
                        image["manifest"]?.stringValue ?? "<none>",
                    ]
                }
                table.rows.append(row)
            }
        }
        return table
    }

    /// `4.2 MB`.
    static func size(_ bytes: Int) -> String {
        let units = [("GB", 1_000_000_000.0), ("MB", 1_000_000.0), ("kB", 1000.0)]
        guard let unit = units.first(where: { Double(bytes) >= $0.1 }) else { return "\(bytes) B" }
        return "\(Figures.fixed(Double(bytes) / unit.1, 1)) \(unit.0)"
    }

    private static func age(_ seconds: Int) -> String {
        let seconds = max(0, seconds)
        if seconds < 120 { return "\(seconds)s" }
        if seconds < 7200 { return "\(seconds / 60)m" }
        if seconds < 172_800 { return "\(seconds / 3600)h" }
        return "\(seconds / 86_400)d"
    }
}

/// Tells on standard error how far a pull is: one line that changes on a terminal, else a line for each step.
final class ImageProgress: Sendable {
    private struct State {
        var done: [String: (done: Int, total: Int)] = [:]
        var isOnLine = false
    }

    private let isQuiet: Bool
    private let state = Lock(State())

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    func show(_ step: Value) {
        guard !isQuiet else { return }
        let layer = step["layer"]?.stringValue ?? ""
        switch step["step"]?.stringValue {
        case "resolved":
            note("\(step["reference"]?.stringValue ?? "") from \(step["source"]?.stringValue ?? "")")
        case "downloading":
            let (done, total) = (step["done"]?.intValue ?? 0, step["total"]?.intValue ?? 0)
            guard Terminal.isErrorTerminal else {
                if done == total, total > 0 { note("\(layer): fetched \(ImageViews.size(total))") }
                return
            }
            let line = state.withLock { state -> String in
                state.done[layer] = (done, total)
                state.isOnLine = true
                let sum = state.done.values.reduce((0, 0)) { ($0.0 + $1.done, $0.1 + $1.total) }
                return sum.1 > 0 ? "\(ImageViews.size(sum.0)) of \(ImageViews.size(sum.1))" : ImageViews.size(sum.0)
            }
            Terminal.write("\r\u{1b}[K\(line)", to: STDERR_FILENO)
        case "unpacking":
            note("\(layer): unpacking layer \(step["number"]?.intValue ?? 0) of \(step["count"]?.intValue ?? 0)")
        case "present": note("\(layer): is here already")
        case "note": note(step["text"]?.stringValue ?? "")
        default: break
        }
    }

    private func note(_ text: String) {
        end()
        Terminal.note(Terminal.harmless(text))
    }

    /// Leaves the line that changes.
    func end() {
        let wasOnLine = state.withLock { state -> Bool in
            defer { state.isOnLine = false }
            return state.isOnLine
        }
        if wasOnLine { Terminal.write("\r\u{1b}[K", to: STDERR_FILENO) }
    }
}
