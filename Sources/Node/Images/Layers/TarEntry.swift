/// One entry of a tar, as its headers say it: nothing of it is to be trusted.
package struct TarEntry: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case file, hardLink, symbolicLink, characterDevice, blockDevice, directory, pipe
    }

    /// A piece of a file with holes.
    package struct Extent: Sendable, Equatable {
        package var offset: Int64
        package var length: Int64
    }

    package var kind: Kind
    package var path: [UInt8]
    package var link: [UInt8] = []
    /// Of the file, holes included.
    package var size: Int64 = 0
    /// Permissions with set-user, set-group and sticky bits.
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var seconds: Int64
    package var nanoseconds: Int = 0
    package var major: UInt32 = 0
    package var minor: UInt32 = 0
    package var attributes: [(name: [UInt8], value: [UInt8])] = []
    /// The parts that are no holes; nil for a file without any.
    package var extents: [Extent]?

    package static func == (left: TarEntry, right: TarEntry) -> Bool {
        left.kind == right.kind && left.path == right.path && left.link == right.link && left.size == right.size
            && left.mode == right.mode && left.uid == right.uid && left.gid == right.gid
            && left.seconds == right.seconds
            && left.nanoseconds == right.nanoseconds && left.major == right.major && left.minor == right.minor
            && left.extents == right.extents && left.attributes.elementsEqual(right.attributes, by: ==)
    }

    /// The path for messages.
    package var shownPath: String { String(decoding: path, as: UTF8.self) }
}
