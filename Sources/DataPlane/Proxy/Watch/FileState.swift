/// What is known of one watched configuration file: a row of `/config_versions`.
struct FileState: Sendable {
    var path: String
    /// `version_info` of the contents that are in force; empty before the first good ones.
    var version = ""
    /// The generation of the snapshot in which these contents are; applied when every worker says so.
    var generation: UInt64 = 0
    /// Why the newest contents were refused; nil when they are in force.
    var error: String?
    var rejections = 0
    /// Set when the proxy's configuration names the file, whether or not it exists yet.
    var isApplied = false

    init(path: String) { self.path = path }

    /// The version as a number, 0 when it is none.
    var versionNumber: UInt64 { UInt64(version) ?? 0 }
}
