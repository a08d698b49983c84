import Resources
import Wire

/// One object of a manifest file, and where it stands.
struct Manifest: Sendable {
    /// The path as the user wrote it, or `standard input`.
    let file: String
    /// The document's place in its file, from 1.
    let document: Int
    /// The element of a List document, from 0, or nil.
    let item: Int?
    let object: Object
    /// The line of a field of the object, from 1, or nil when it is not known.
    let line: @Sendable ([String]) -> Int?

    /// `web.yaml, document 2 (Deployment/web)`, with the line of the field when it is known.
    func place(of path: [String] = []) -> String {
        let name = "\(object.kind)/\(object.name)"
        let element = item.map { ", item \($0)" } ?? ""
        let line = line(path).map { ":\($0)" } ?? ""
        return "\(file)\(line), document \(document)\(element) (\(name))"
    }
}
