package import Resources

/// What a container's image means on this machine.
package struct ResolvedImage: Sendable, Equatable {
    package let reference: String
    /// The Image object's name.
    package let name: String
    package let directory: String
    package let command: [String]
    package let env: [EnvVar]
    /// Names of Debian packages that its programs come from (the Image's annotation `weft.dev/packages`).
    package var packages: [String] = []
    /// The layers, for an image that has no Image object.
    package var content: ContainerImage?
}

/// Finds the Image object that a reference means.
///
/// Pure.
package enum ImageResolution {
    /// Why an image cannot be used, in words that say what to do.
    package struct Unresolved: Error, Sendable, Equatable {
        package let message: String
    }

    /// Of an Image: the packages that its programs come from, separated by spaces or commas.
    package static let packagesAnnotation = "weft.dev/packages"

    package static func resolve(_ reference: String, among images: [Object]) throws(Unresolved) -> ResolvedImage {
        guard let image = ImageSpec.resolve(reference, among: images) else {
            throw Unresolved(message: advice(reference))
        }
        let spec = ImageSpec(image.spec)
        let directory = spec.directory.isEmpty ? "/" : spec.directory
        guard directory.hasPrefix("/") else {
            throw Unresolved(
                message:
                    "image \"\(reference)\": the Image \"\(image.name)\" has the directory \"\(directory)\", which is "
                    + "not an absolute path; write it from / on, or apply the file with weft, which completes it"
            )
        }
        return ResolvedImage(
            reference: reference,
            name: image.name,
            directory: directory,
            command: spec.command,
            env: spec.env,
            packages: packages(of: image)
        )
    }

    /// What is no name of a package is passed over: these words go into a command that people are told to run.
    private static func packages(of image: Object) -> [String] {
        let words = (image.annotation(packagesAnnotation) ?? "").split { $0 == " " || $0 == "," }
        return words.prefix(20).map(String.init).filter { word in
            let bytes = Array(word.utf8)
            let isPlain = bytes.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || [0x2b, 0x2d, 0x2e].contains($0)
            }
            return isPlain && bytes.count <= 100 && bytes.first != 0x2d && bytes.first != 0x2e
        }
    }

    static func advice(_ reference: String) -> String {
        var name = ImageSpec.shortName(reference).lowercased()
        if name.isEmpty { name = "my-image" }
        return """
            image "\(reference)" means nothing on this machine yet. Say what it means with an Image object, and apply it:
            apiVersion: weft.dev/v1alpha1
            kind: Image
            metadata:
              name: \(name)
            spec:
              directory: /path/to/\(name)
              command: ["./run"]
            """
    }

    /// The program and its arguments: a container's `command` replaces the image's, `args` follow either.
    package static func arguments(_ container: Container, _ image: ResolvedImage, _ variables: Variables) -> [String] {
        let command = container.command.isEmpty ? image.command : container.command.map(variables.expand)
        return command + container.args.map(variables.expand)
    }
}
