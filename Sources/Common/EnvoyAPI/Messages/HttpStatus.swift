extension Envoy {
    /// A status of HTTP.
    ///
    /// `envoy.type.v3.HttpStatus`
    package struct HttpStatus: EnvoyMessage {
        package var code: StatusCode

        package init(code: StatusCode = .empty) { self.code = code }

        package static let schema = MessageSchema<HttpStatus>("envoy.type.v3.HttpStatus", empty: HttpStatus()) {
            schema in
            schema.field(1, "code", \.code, .enumeration)
        }

        package static func verify(_ message: HttpStatus, _ reader: inout SchemaReader) {
            if message.code == .empty { reader.report(.missing, "code is required, as Forbidden or 403") }
        }
    }

    /// Values of `envoy.type.v3.StatusCode`.
    package enum StatusCode: Int32, EnvoyEnum {
        case empty = 0
        case `continue` = 100
        case ok = 200
        case created = 201
        case accepted = 202
        case nonAuthoritativeInformation = 203
        case noContent = 204
        case resetContent = 205
        case partialContent = 206
        case multiStatus = 207
        case alreadyReported = 208
        case imUsed = 226
        case multipleChoices = 300
        case movedPermanently = 301
        case found = 302
        case seeOther = 303
        case notModified = 304
        case useProxy = 305
        case temporaryRedirect = 307
        case permanentRedirect = 308
        case badRequest = 400
        case unauthorized = 401
        case paymentRequired = 402
        case forbidden = 403
        case notFound = 404
        case methodNotAllowed = 405
        case notAcceptable = 406
        case proxyAuthenticationRequired = 407
        case requestTimeout = 408
        case conflict = 409
        case gone = 410
        case lengthRequired = 411
        case preconditionFailed = 412
        case payloadTooLarge = 413
        case uriTooLong = 414
        case unsupportedMediaType = 415
        case rangeNotSatisfiable = 416
        case expectationFailed = 417
        case misdirectedRequest = 421
        case unprocessableEntity = 422
        case locked = 423
        case failedDependency = 424
        case upgradeRequired = 426
        case preconditionRequired = 428
        case tooManyRequests = 429
        case requestHeaderFieldsTooLarge = 431
        case internalServerError = 500
        case notImplemented = 501
        case badGateway = 502
        case serviceUnavailable = 503
        case gatewayTimeout = 504
        case httpVersionNotSupported = 505
        case variantAlsoNegotiates = 506
        case insufficientStorage = 507
        case loopDetected = 508
        case notExtended = 510
        case networkAuthenticationRequired = 511

        package static let names = EnumNames(
            "envoy.type.v3.StatusCode",
            """
            Empty=0 Continue=100 OK=200 Created=201 Accepted=202 NonAuthoritativeInformation=203 NoContent=204 \
            ResetContent=205 PartialContent=206 MultiStatus=207 AlreadyReported=208 IMUsed=226 MultipleChoices=300 \
            MovedPermanently=301 Found=302 SeeOther=303 NotModified=304 UseProxy=305 TemporaryRedirect=307 \
            PermanentRedirect=308 BadRequest=400 Unauthorized=401 PaymentRequired=402 Forbidden=403 NotFound=404 \
            MethodNotAllowed=405 NotAcceptable=406 ProxyAuthenticationRequired=407 RequestTimeout=408 Conflict=409 \
            Gone=410 LengthRequired=411 PreconditionFailed=412 PayloadTooLarge=413 URITooLong=414 \
            UnsupportedMediaType=415 RangeNotSatisfiable=416 ExpectationFailed=417 MisdirectedRequest=421 \
            UnprocessableEntity=422 Locked=423 FailedDependency=424 UpgradeRequired=426 PreconditionRequired=428 \
            TooManyRequests=429 RequestHeaderFieldsTooLarge=431 InternalServerError=500 NotImplemented=501 \
            BadGateway=502 ServiceUnavailable=503 GatewayTimeout=504 HTTPVersionNotSupported=505 \
            VariantAlsoNegotiates=506 InsufficientStorage=507 LoopDetected=508 NotExtended=510 \
            NetworkAuthenticationRequired=511
            """
        )
    }

    /// Strings of which any may match.
    ///
    /// `envoy.type.matcher.v3.ListStringMatcher`
    package struct ListStringMatcher: EnvoyMessage {
        package var patterns: [StringMatcher]

        package init(patterns: [StringMatcher] = []) { self.patterns = patterns }

        package static let schema = MessageSchema<ListStringMatcher>(
            "envoy.type.matcher.v3.ListStringMatcher",
            empty: ListStringMatcher()
        ) { schema in
            schema.repeated(1, "patterns", \.patterns, .message, [.minItems(1)])
        }
    }

    /// A service that is called over HTTP.
    ///
    /// `envoy.config.core.v3.HttpService`
    package struct HttpService: EnvoyMessage {
        package var httpUri: HttpUri?
        package var requestHeadersToAdd: [HeaderValueOption]

        package init(httpUri: HttpUri? = nil, requestHeadersToAdd: [HeaderValueOption] = []) {
            self.httpUri = httpUri
            self.requestHeadersToAdd = requestHeadersToAdd
        }

        package static let schema = MessageSchema<HttpService>(
            "envoy.config.core.v3.HttpService",
            empty: HttpService()
        ) { schema in
            schema.optional(1, "http_uri", \.httpUri, .message, [.required])
            schema.repeated(2, "request_headers_to_add", \.requestHeadersToAdd, .message)
        }
    }
}
