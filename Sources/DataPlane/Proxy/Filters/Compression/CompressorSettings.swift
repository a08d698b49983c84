import Compression
import EnvoyAPI
import Traffic

/// `compressor`, compiled.
final class CompressorSettings: Sendable {
    let encoder: EncoderSettings
    /// nil: requests are not compressed.
    let request: CompressionRules?
    let answer: CompressionRules
    let isFavourite: Bool
    let requestNumbers: CompressorNumbers
    let answerNumbers: CompressorNumbers

    init(_ message: Envoy.CompressorFilter, _ context: CompileContext, prefix: String) {
        encoder = Self.encoder(message.compressorLibrary?.typedConfig)
        request = message.requestDirectionConfig.map { Self.rules($0.commonConfig, context) }
        var answer = Self.rules(message.responseDirectionConfig?.commonConfig, context)
        answer.stopsAtETag = message.responseDirectionConfig?.disableOnEtagHeader ?? false
        answer.weakensETag = message.responseDirectionConfig?.weakenEtagOnCompress ?? false
        answer.hidesAcceptEncoding = message.responseDirectionConfig?.removeAcceptEncodingHeader ?? false
        answer.refusedStatuses = (message.responseDirectionConfig?.uncompressibleResponseCodes ?? [])
            .map { UInt16(clamping: $0) }
        self.answer = answer
        isFavourite = message.chooseFirst
        let name = "compressor.\(message.compressorLibrary?.name ?? "").\(encoder.coding.statistic)."
        let own = message.responseDirectionConfig == nil ? "" : "response."
        requestNumbers = CompressorNumbers(context.filterStats, prefix, name + "request.", isAnswer: false)
        answerNumbers = CompressorNumbers(context.filterStats, prefix, name + own, isAnswer: true)
    }

    private static func rules(_ message: Envoy.CompressorDirection?, _ context: CompileContext) -> CompressionRules {
        var rules = CompressionRules()
        rules.isEnabled = context.isOn(message?.enabled)
        rules.minimumLength = UInt64(message?.minContentLength ?? 30)
        if let types = message?.contentType, !types.isEmpty { rules.types = types.map { Array($0.utf8) } }
        return rules
    }

    private static func encoder(_ library: Envoy.CompressorLibraryConfig?) -> EncoderSettings {
        switch library {
        case .gzip(let message):
            var settings = EncoderSettings(.gzip)
            if message.compressionLevel != .standard { settings.level = message.compressionLevel.rawValue }
            settings.strategy = message.compressionStrategy.rawValue
            settings.windowBits = message.windowBits.map { Int32(clamping: $0) } ?? settings.windowBits
            settings.memoryLevel = message.memoryLevel.map { Int32(clamping: $0) } ?? settings.memoryLevel
            return settings
        case .brotli(let message):
            var settings = EncoderSettings(.brotli)
            settings.level = message.quality.map { Int32(clamping: $0) } ?? settings.level
            settings.mode = max(0, message.encoderMode.rawValue - 1)
            settings.windowBits = message.windowBits.map { Int32(clamping: $0) } ?? settings.windowBits
            settings.blockBits = message.inputBlockBits.map { Int32(clamping: $0) } ?? settings.blockBits
            settings.skipsContextModeling = message.disableLiteralContextModeling
            return settings
        case .zstd(let message):
            var settings = EncoderSettings(.zstd)
            settings.level = message.compressionLevel.map { Int32(clamping: $0) } ?? settings.level
            settings.addsChecksum = message.enableChecksum
            settings.strategy = message.strategy.rawValue
            return settings
        case nil: return EncoderSettings(.gzip)
        }
    }
}

/// What a route says of the compressor.
final class CompressorRoute: Sendable {
    let isDisabled: Bool
    /// nil: as the chain says.
    let hidesAcceptEncoding: Bool?

    init(_ message: Envoy.CompressorPerRoute) {
        isDisabled = message.disabled
        hidesAcceptEncoding = message.overrides?.responseDirectionConfig?.removeAcceptEncodingHeader
    }
}

/// What one direction of a compressor counts, by places of `FilterStatBook`.
struct CompressorNumbers: Sendable {
    let compressed, notCompressed, tooShort, bytesIn, bytesOut: Int32
    let noHeader, identity, notValid, wildcard, used, overshadowed, hasETag: Int32

    init(_ book: FilterStatBook, _ prefix: String, _ name: String, isAnswer: Bool) {
        let place = { (text: String) in book.place(prefix: prefix, name + text) }
        compressed = place("compressed")
        notCompressed = place("not_compressed")
        tooShort = place("content_length_too_small")
        bytesIn = place("total_uncompressed_bytes")
        bytesOut = place("total_compressed_bytes")
        let only = { (text: String) in isAnswer ? place(text) : -1 }
        noHeader = only("no_accept_header")
        identity = only("header_identity")
        notValid = only("header_not_valid")
        wildcard = only("header_wildcard")
        used = only("header_compressor_used")
        overshadowed = only("header_compressor_overshadowed")
        hasETag = only("not_compressed_etag")
    }
}

/// What a compressor or decompressor keeps of one request.
final class CodingState {
    /// What the client accepts, as it came; nil: it did not say.
    var accepted: [[UInt8]]?
    var encodesRequest: ContentEncoder?
    var encodesAnswer: ContentEncoder?
    var decodesRequest: ContentDecoder?
    var decodesAnswer: ContentDecoder?
}
