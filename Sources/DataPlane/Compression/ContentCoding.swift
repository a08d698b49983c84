import CCompression

/// A coding of content, as `content-encoding` names it.
package enum ContentCoding: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case gzip, brotli, zstd

    /// The name in `accept-encoding` and `content-encoding`.
    package var token: StaticString {
        switch self {
        case .gzip: "gzip"
        case .brotli: "br"
        case .zstd: "zstd"
        }
    }

    /// The name in statistics.
    package var statistic: StaticString {
        switch self {
        case .gzip: "gzip"
        case .brotli: "brotli"
        case .zstd: "zstd"
        }
    }

    var native: wcomp_coding {
        switch self {
        case .gzip: wcomp_gzip
        case .brotli: wcomp_brotli
        case .zstd: wcomp_zstd
        }
    }
}

/// How a stream is compressed: what the libraries take, with Envoy's defaults.
package struct EncoderSettings: Sendable, Equatable, BitwiseCopyable {
    package var coding: ContentCoding
    package var level: Int32
    package var strategy: Int32 = 0
    /// The logarithm of the window; zstd: 0 = what the level asks for, up to the bound.
    package var windowBits: Int32
    /// gzip, 1...9.
    package var memoryLevel: Int32 = 5
    /// brotli: 0 generic, 1 text, 2 font.
    package var mode: Int32 = 0
    /// brotli, 16...24.
    package var blockBits: Int32 = 24
    package var skipsContextModeling = false
    /// zstd.
    package var addsChecksum = false

    /// The defaults of a coding.
    package init(_ coding: ContentCoding) {
        self.coding = coding
        switch coding {
        case .gzip:
            level = -1
            windowBits = 12
        case .brotli:
            level = 3
            windowBits = 18
        case .zstd:
            level = 3
            windowBits = 0
        }
    }

    /// Beyond it a receiver need not follow (RFC 9659: 8 MB).
    package static let zstdWindowBits: Int32 = 23
    /// From this level on zstd's own window would be larger than that.
    static let zstdLargeLevel: Int32 = 17

    var native: wcomp_settings {
        var settings = wcomp_settings()
        settings.coding = coding.native
        settings.level = level
        settings.strategy = strategy
        settings.window_bits = windowBits
        if coding == .zstd, windowBits == 0, level >= Self.zstdLargeLevel { settings.window_bits = Self.zstdWindowBits }
        settings.memory_level = memoryLevel
        settings.mode = mode
        settings.block_bits = blockBits
        settings.skips_context_modeling = skipsContextModeling ? 1 : 0
        settings.adds_checksum = addsChecksum ? 1 : 0
        return settings
    }
}

/// What a decoder takes, and how much may come out.
package struct DecoderSettings: Sendable, Equatable, BitwiseCopyable {
    package var coding: ContentCoding
    /// gzip only: 9...15. Brotli's is bounded by its format (16 MB).
    package var windowBits: Int32 = 15
    /// Of zstd; a stream that asks for a larger window is refused.
    package var zstdWindowBits = EncoderSettings.zstdWindowBits
    /// So many bytes may come out for each that went in; checked beyond `ratioFree`.
    package var maxRatio: UInt64 = 100
    /// So many bytes may come out of one message.
    package var maxBytes: UInt64 = 1 << 30

    /// What may come out whatever the ratio: short texts of one letter are no attack.
    package static let ratioFree: UInt64 = 65_536

    package init(_ coding: ContentCoding) { self.coding = coding }

    var native: wcomp_settings {
        var settings = wcomp_settings()
        settings.coding = coding.native
        settings.window_bits = coding == .zstd ? zstdWindowBits : windowBits
        return settings
    }
}
