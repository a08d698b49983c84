import Compression
import EnvoyAPI
import Traffic

/// `decompressor`, compiled.
final class DecompressorSettings: Sendable {
    let decoder: DecoderSettings
    let request: DecompressionRules
    let answer: DecompressionRules
    /// Endpoints hear that this coding is taken.
    let advertises: Bool
    let requestNumbers: DecompressorNumbers
    let answerNumbers: DecompressorNumbers

    init(_ message: Envoy.DecompressorFilter, _ context: CompileContext, prefix: String) {
        decoder = Self.decoder(message.decompressorLibrary?.typedConfig)
        request = Self.rules(message.requestDirectionConfig?.commonConfig, context)
        answer = Self.rules(message.responseDirectionConfig?.commonConfig, context)
        advertises = answer.isEnabled && (message.requestDirectionConfig?.advertiseAcceptEncoding ?? true)
        let name = "decompressor.\(message.decompressorLibrary?.name ?? "").\(decoder.coding.statistic)."
        requestNumbers = DecompressorNumbers(context.filterStats, prefix, name + "request.")
        answerNumbers = DecompressorNumbers(context.filterStats, prefix, name + "response.")
    }

    private static func rules(_ message: Envoy.DecompressorDirection?, _ context: CompileContext) -> DecompressionRules
    {
        var rules = DecompressionRules()
        rules.isEnabled = context.isOn(message?.enabled)
        rules.ignoresNoTransform = message?.ignoreNoTransformHeader ?? false
        return rules
    }

    private static func decoder(_ library: Envoy.DecompressorLibraryConfig?) -> DecoderSettings {
        switch library {
        case .gzip(let message):
            var settings = DecoderSettings(.gzip)
            settings.windowBits = message.windowBits.map { Int32(clamping: $0) } ?? settings.windowBits
            settings.maxRatio = message.maxInflateRatio.map { UInt64($0) } ?? settings.maxRatio
            return settings
        case .brotli: return DecoderSettings(.brotli)
        case .zstd: return DecoderSettings(.zstd)
        case nil: return DecoderSettings(.gzip)
        }
    }
}

/// What one direction of a decompressor counts.
struct DecompressorNumbers: Sendable {
    let decompressed, notDecompressed, bytesIn, bytesOut: Int32
    /// Bodies that were given up: corrupt ones, and those that became too large. Ours.
    let corrupt, tooLarge: Int32

    init(_ book: FilterStatBook, _ prefix: String, _ name: String) {
        let place = { (text: String) in book.place(prefix: prefix, name + text) }
        decompressed = place("decompressed")
        notDecompressed = place("not_decompressed")
        bytesIn = place("total_compressed_bytes")
        bytesOut = place("total_uncompressed_bytes")
        corrupt = place("corrupt")
        tooLarge = place("too_large")
    }
}
