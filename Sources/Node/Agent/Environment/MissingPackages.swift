import Glibc
import Sandbox

/// Says which packages have to be installed before an image can run, where Debian's package manager knows.
package enum MissingPackages {
    /// Nothing is said on a machine without that package manager.
    ///
    /// - Parameters:
    ///   - image: names its packages.
    ///   - database: the folder in which dpkg keeps files about each installed package.
    /// - Throws: when a package is missing, with the command that installs it.
    package static func check(
        _ image: ResolvedImage,
        database: String = "/var/lib/dpkg/info"
    ) throws(ImageResolution.Unresolved) {
        guard !image.packages.isEmpty, access(database, F_OK) == 0 else { return }
        let missing = image.packages.filter { !isInstalled($0, database) }
        guard !missing.isEmpty else { return }
        let names = missing.joined(separator: " ")
        throw .init(
            message: "image \"\(image.reference)\": \(missing.joined(separator: ", ")) "
                + "\(missing.count == 1 ? "is" : "are") not installed on this machine: apt-get install \(names)"
        )
    }

    /// A package that was removed leaves its `.list` behind, but no checksums.
    private static func isInstalled(_ name: String, _ database: String) -> Bool {
        let places = ["\(name).md5sums"] + ["amd64", "arm64"].map { "\(name):\($0).md5sums" }
        return places.contains { access("\(database)/\($0)", F_OK) == 0 }
    }
}
