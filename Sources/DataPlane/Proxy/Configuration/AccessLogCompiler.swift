import EnvoyAPI
import Wire

extension ListenerCompiler {
    func format(_ message: Envoy.FileAccessLog.AccessLogFormat?) -> AccessLogFormat? {
        switch message {
        case nil: text(AccessLogFormat.standardText)
        case .format(let format): text(format.isEmpty ? AccessLogFormat.standardText : format)
        case .jsonFormat(let value): json(value)
        case .logFormat(let format): self.format(format)
        }
    }

    func format(_ message: Envoy.SubstitutionFormatString?) -> AccessLogFormat? {
        switch message?.format {
        case nil: text(AccessLogFormat.standardText)
        case .textFormat(let format): text(format)
        case .jsonFormat(let value): json(value)
        case .textFormatSource(let source):
            context.at("text_format_source") {
                switch source.specifier {
                case .inlineString(let format): return text(format)
                case .inlineBytes(let bytes): return text(String(decoding: bytes, as: UTF8.self))
                default:
                    context.report("only inline_string and inline_bytes are supported")
                    return nil
                }
            }
        }
    }

    private func text(_ format: String) -> AccessLogFormat? {
        do {
            return AccessLogFormat(.text(try AccessLogFormat.parse(format)))
        } catch {
            context.report(error.message)
            return nil
        }
    }

    private func json(_ value: Value) -> AccessLogFormat? {
        guard let fields = value.fields else {
            context.report("json_format must be an object")
            return nil
        }
        var parsed: [AccessLogFormat.JSONField] = []
        for (name, field) in fields {
            guard let format = field.stringValue else {
                context.report("json_format.\(name): only texts with command operators are supported")
                continue
            }
            do {
                parsed.append(AccessLogFormat.JSONField(name: name, parts: try AccessLogFormat.parse(format)))
            } catch {
                context.report("json_format.\(name): \(error.message)")
            }
        }
        return AccessLogFormat(.json(parsed.sorted { $0.name < $1.name }))
    }
}
