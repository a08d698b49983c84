extension Envoy {
    /// How gzip compresses.
    ///
    /// `envoy.extensions.compression.gzip.compressor.v3.Gzip`
    package struct GzipCompressor: EnvoyMessage {
        package var memoryLevel: UInt32?
        package var compressionLevel: GzipCompressor.Level
        package var compressionStrategy: GzipCompressor.Strategy
        package var windowBits: UInt32?
        package var chunkSize: UInt32?

        package init(
            memoryLevel: UInt32? = nil,
            compressionLevel: GzipCompressor.Level = .standard,
            compressionStrategy: GzipCompressor.Strategy = .standard,
            windowBits: UInt32? = nil,
            chunkSize: UInt32? = nil
        ) {
            self.memoryLevel = memoryLevel
            self.compressionLevel = compressionLevel
            self.compressionStrategy = compressionStrategy
            self.windowBits = windowBits
            self.chunkSize = chunkSize
        }

        package static let schema = MessageSchema<GzipCompressor>(
            "envoy.extensions.compression.gzip.compressor.v3.Gzip",
            empty: GzipCompressor()
        ) { schema in
            schema.optional(1, "memory_level", \.memoryLevel, .uint32Value, [.atLeast(1), .atMost(9)])
            schema.field(2, "compression_level", \.compressionLevel, .enumeration)
            schema.field(3, "compression_strategy", \.compressionStrategy, .enumeration)
            schema.optional(4, "window_bits", \.windowBits, .uint32Value, [.atLeast(9), .atMost(15)])
            schema.optional(5, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}

extension Envoy.GzipCompressor {
    /// How hard it tries.
    ///
    /// `envoy.extensions.compression.gzip.compressor.v3.Gzip.CompressionLevel`
    package enum Level: Int32, EnvoyEnum {
        case standard = 0
        case level1 = 1
        case level2 = 2
        case level3 = 3
        case level4 = 4
        case level5 = 5
        case level6 = 6
        case level7 = 7
        case level8 = 8
        case level9 = 9

        package static let names = EnumNames(
            "envoy.extensions.compression.gzip.compressor.v3.Gzip.CompressionLevel",
            "DEFAULT_COMPRESSION=0 BEST_SPEED=1 COMPRESSION_LEVEL_1=1 COMPRESSION_LEVEL_2=2 COMPRESSION_LEVEL_3=3 COMPRESSION_LEVEL_4=4 COMPRESSION_LEVEL_5=5 COMPRESSION_LEVEL_6=6 COMPRESSION_LEVEL_7=7 COMPRESSION_LEVEL_8=8 COMPRESSION_LEVEL_9=9 BEST_COMPRESSION=9"
        )
    }
}

extension Envoy.GzipCompressor {
    /// What kind of bytes it expects.
    ///
    /// `envoy.extensions.compression.gzip.compressor.v3.Gzip.CompressionStrategy`
    package enum Strategy: Int32, EnvoyEnum {
        case standard = 0
        case filtered = 1
        case huffmanOnly = 2
        case rle = 3
        case fixed = 4

        package static let names = EnumNames(
            "envoy.extensions.compression.gzip.compressor.v3.Gzip.CompressionStrategy",
            "DEFAULT_STRATEGY=0 FILTERED=1 HUFFMAN_ONLY=2 RLE=3 FIXED=4"
        )
    }
}

extension Envoy {
    /// How brotli compresses.
    ///
    /// `envoy.extensions.compression.brotli.compressor.v3.Brotli`
    package struct BrotliCompressor: EnvoyMessage {
        package var quality: UInt32?
        package var encoderMode: BrotliCompressor.Mode
        package var windowBits: UInt32?
        package var inputBlockBits: UInt32?
        package var chunkSize: UInt32?
        package var disableLiteralContextModeling: Bool

        package init(
            quality: UInt32? = nil,
            encoderMode: BrotliCompressor.Mode = .standard,
            windowBits: UInt32? = nil,
            inputBlockBits: UInt32? = nil,
            chunkSize: UInt32? = nil,
            disableLiteralContextModeling: Bool = false
        ) {
            self.quality = quality
            self.encoderMode = encoderMode
            self.windowBits = windowBits
            self.inputBlockBits = inputBlockBits
            self.chunkSize = chunkSize
            self.disableLiteralContextModeling = disableLiteralContextModeling
        }

        package static let schema = MessageSchema<BrotliCompressor>(
            "envoy.extensions.compression.brotli.compressor.v3.Brotli",
            empty: BrotliCompressor()
        ) { schema in
            schema.optional(1, "quality", \.quality, .uint32Value, [.atMost(11)])
            schema.field(2, "encoder_mode", \.encoderMode, .enumeration)
            schema.optional(3, "window_bits", \.windowBits, .uint32Value, [.atLeast(10), .atMost(24)])
            schema.optional(4, "input_block_bits", \.inputBlockBits, .uint32Value, [.atLeast(16), .atMost(24)])
            schema.optional(5, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.field(6, "disable_literal_context_modeling", \.disableLiteralContextModeling, .bool)
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}

extension Envoy.BrotliCompressor {
    /// What kind of bytes it expects.
    ///
    /// `envoy.extensions.compression.brotli.compressor.v3.Brotli.EncoderMode`
    package enum Mode: Int32, EnvoyEnum {
        case standard = 0
        case generic = 1
        case text = 2
        case font = 3

        package static let names = EnumNames(
            "envoy.extensions.compression.brotli.compressor.v3.Brotli.EncoderMode",
            "DEFAULT=0 GENERIC=1 TEXT=2 FONT=3"
        )
    }
}

extension Envoy {
    /// How zstd compresses.
    ///
    /// `envoy.extensions.compression.zstd.compressor.v3.Zstd`
    package struct ZstdCompressor: EnvoyMessage {
        package var compressionLevel: UInt32?
        package var enableChecksum: Bool
        package var strategy: ZstdCompressor.Strategy
        package var chunkSize: UInt32?

        package init(
            compressionLevel: UInt32? = nil,
            enableChecksum: Bool = false,
            strategy: ZstdCompressor.Strategy = .standard,
            chunkSize: UInt32? = nil
        ) {
            self.compressionLevel = compressionLevel
            self.enableChecksum = enableChecksum
            self.strategy = strategy
            self.chunkSize = chunkSize
        }

        package static let schema = MessageSchema<ZstdCompressor>(
            "envoy.extensions.compression.zstd.compressor.v3.Zstd",
            empty: ZstdCompressor()
        ) { schema in
            schema.optional(1, "compression_level", \.compressionLevel, .uint32Value, [.atMost(22)])
            schema.field(2, "enable_checksum", \.enableChecksum, .bool)
            schema.field(3, "strategy", \.strategy, .enumeration)
            schema.optional(5, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.unsupported("dictionary=4")
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}

extension Envoy.ZstdCompressor {
    /// How it looks for what repeats.
    ///
    /// `envoy.extensions.compression.zstd.compressor.v3.Zstd.Strategy`
    package enum Strategy: Int32, EnvoyEnum {
        case standard = 0
        case fast = 1
        case dfast = 2
        case greedy = 3
        case lazy = 4
        case lazy2 = 5
        case btlazy2 = 6
        case btopt = 7
        case btultra = 8
        case btultra2 = 9

        package static let names = EnumNames(
            "envoy.extensions.compression.zstd.compressor.v3.Zstd.Strategy",
            "DEFAULT=0 FAST=1 DFAST=2 GREEDY=3 LAZY=4 LAZY2=5 BTLAZY2=6 BTOPT=7 BTULTRA=8 BTULTRA2=9"
        )
    }
}

extension Envoy {
    /// How gzip is undone.
    ///
    /// `envoy.extensions.compression.gzip.decompressor.v3.Gzip`
    package struct GzipDecompressor: EnvoyMessage {
        package var windowBits: UInt32?
        package var chunkSize: UInt32?
        /// So many bytes may come of one; nil: 100.
        package var maxInflateRatio: UInt32?

        package init(windowBits: UInt32? = nil, chunkSize: UInt32? = nil, maxInflateRatio: UInt32? = nil) {
            self.windowBits = windowBits
            self.chunkSize = chunkSize
            self.maxInflateRatio = maxInflateRatio
        }

        package static let schema = MessageSchema<GzipDecompressor>(
            "envoy.extensions.compression.gzip.decompressor.v3.Gzip",
            empty: GzipDecompressor()
        ) { schema in
            schema.optional(1, "window_bits", \.windowBits, .uint32Value, [.atLeast(9), .atMost(15)])
            schema.optional(2, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.optional(3, "max_inflate_ratio", \.maxInflateRatio, .uint32Value, [.atLeast(1), .atMost(1032)])
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}

extension Envoy {
    /// How brotli is undone.
    ///
    /// `envoy.extensions.compression.brotli.decompressor.v3.Brotli`
    package struct BrotliDecompressor: EnvoyMessage {
        package var chunkSize: UInt32?

        package init(chunkSize: UInt32? = nil) {
            self.chunkSize = chunkSize
        }

        package static let schema = MessageSchema<BrotliDecompressor>(
            "envoy.extensions.compression.brotli.decompressor.v3.Brotli",
            empty: BrotliDecompressor()
        ) { schema in
            schema.optional(2, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.ignored("disable_ring_buffer_reallocation=1", why: "memory is taken as the stream needs it")
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}

extension Envoy {
    /// How zstd is undone.
    ///
    /// `envoy.extensions.compression.zstd.decompressor.v3.Zstd`
    package struct ZstdDecompressor: EnvoyMessage {
        package var chunkSize: UInt32?

        package init(chunkSize: UInt32? = nil) {
            self.chunkSize = chunkSize
        }

        package static let schema = MessageSchema<ZstdDecompressor>(
            "envoy.extensions.compression.zstd.decompressor.v3.Zstd",
            empty: ZstdDecompressor()
        ) { schema in
            schema.optional(2, "chunk_size", \.chunkSize, .uint32Value, [.atLeast(4096), .atMost(65536)])
            schema.unsupported("dictionaries=1")
            schema.noted("chunk_size", why: "bytes go on as they come")
        }
    }
}
