package import Wire

extension Envoy {
    /// Where one line per request or connection goes.
    ///
    /// `envoy.config.accesslog.v3.AccessLog`
    package struct AccessLog: EnvoyMessage {
        package var name: String
        package var filter: AccessLogFilter?
        package var typedConfig: AccessLogConfig?

        package init(
            name: String = "",
            filter: AccessLogFilter? = nil,
            typedConfig: AccessLogConfig? = nil
        ) {
            self.name = name
            self.filter = filter
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<AccessLog>(
            "envoy.config.accesslog.v3.AccessLog",
            empty: AccessLog()
        ) { schema in
            schema.field(1, "name", \.name, .string)
            schema.oneof("config_type")
            schema.optional(4, "typed_config", of: "config_type", \.typedConfig, .any)
            schema.optional(2, "filter", \.filter, .message)
        }
    }
}

extension Envoy {
    /// Access log lines in a file.
    ///
    /// `envoy.extensions.access_loggers.file.v3.FileAccessLog`
    package struct FileAccessLog: EnvoyMessage {
        package var path: String
        package var accessLogFormat: AccessLogFormat?

        /// One of these.
        package enum AccessLogFormat: Sendable, Equatable {
            case format(String)
            case jsonFormat(Value)
            case logFormat(SubstitutionFormatString)
        }

        package init(
            path: String = "",
            accessLogFormat: AccessLogFormat? = nil
        ) {
            self.path = path
            self.accessLogFormat = accessLogFormat
        }

        package static let schema = MessageSchema<FileAccessLog>(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            empty: FileAccessLog()
        ) { schema in
            schema.field(1, "path", \.path, .string, [.minLength(1)])
            schema.oneof("access_log_format")
            schema.choice(2, "format", of: "access_log_format", \.accessLogFormat, .string) {
                .format($0)
            } get: {
                if case .format(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "json_format", of: "access_log_format", \.accessLogFormat, .object) {
                .jsonFormat($0)
            } get: {
                if case .jsonFormat(let value) = $0 { value } else { nil }
            }
            schema.choice(5, "log_format", of: "access_log_format", \.accessLogFormat, .message, [.required]) {
                .logFormat($0)
            } get: {
                if case .logFormat(let value) = $0 { value } else { nil }
            }
            schema.unsupported("typed_json_format=4", of: "access_log_format")
        }
    }
}

extension Envoy {
    /// Access log lines on the standard output.
    ///
    /// `envoy.extensions.access_loggers.stream.v3.StdoutAccessLog`
    package struct StdoutAccessLog: EnvoyMessage {
        package var logFormat: SubstitutionFormatString?

        package init(
            logFormat: SubstitutionFormatString? = nil
        ) {
            self.logFormat = logFormat
        }

        package static let schema = MessageSchema<StdoutAccessLog>(
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            empty: StdoutAccessLog()
        ) { schema in
            schema.oneof("access_log_format")
            schema.optional(1, "log_format", of: "access_log_format", \.logFormat, .message, [.required])
        }
    }
}

extension Envoy {
    /// Access log lines on the standard error stream.
    ///
    /// `envoy.extensions.access_loggers.stream.v3.StderrAccessLog`
    package struct StderrAccessLog: EnvoyMessage {
        package var logFormat: SubstitutionFormatString?

        package init(
            logFormat: SubstitutionFormatString? = nil
        ) {
            self.logFormat = logFormat
        }

        package static let schema = MessageSchema<StderrAccessLog>(
            "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
            empty: StderrAccessLog()
        ) { schema in
            schema.oneof("access_log_format")
            schema.optional(1, "log_format", of: "access_log_format", \.logFormat, .message, [.required])
        }
    }
}
