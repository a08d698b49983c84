import HTTP
import Testing
import Traffic

/// Header fields in place, as a parser leaves them.
struct FieldSample {
    private var bytes: [UInt8] = []
    private var places: [FieldPlace] = []

    init(_ fields: [(String, String)]) {
        for (name, value) in fields {
            let start = bytes.count
            bytes += Array(name.utf8) + Array(value.utf8)
            places.append(
                FieldPlace(
                    nameStart: UInt32(start),
                    nameLength: UInt32(name.utf8.count),
                    valueStart: UInt32(start + name.utf8.count),
                    valueLength: UInt32(value.utf8.count)
                )
            )
        }
    }

    func look<T>(_ work: (RequestView) throws -> T) rethrows -> T {
        try bytes.withUnsafeBytes { raw in
            try places.withUnsafeBufferPointer { fields in
                let none = ByteRun(start: nil, count: 0)
                let space: StaticString = " "
                return try work(
                    RequestView(
                        method: none,
                        authority: none,
                        path: none,
                        base: raw.baseAddress ?? UnsafeRawPointer(space.utf8Start),
                        fields: fields.baseAddress,
                        fieldCount: fields.count
                    )
                )
            }
        }
    }
}

@Suite struct EncodingChoiceTests {
    private func choose(
        _ accepted: [String],
        _ offered: [StaticString] = ["gzip", "br"],
        favourites: [Int] = []
    ) -> EncodingChoice {
        FieldSample(accepted.map { ("Accept-Encoding", $0) }).look { view in
            EncodingChoice.choose(
                FieldText.values(FieldText.run("accept-encoding"), view),
                offered: offered.enumerated().map {
                    OfferedCoding(token: FieldText.run($1), isFavourite: favourites.contains($0))
                }
            )
        }
    }

    @Test func theWeightDecides() {
        #expect(choose([]) == .noHeader)
        #expect(choose(["gzip"]) == .coding(0))
        #expect(choose(["br;q=1.0, gzip;q=0.8"]) == .coding(1))
        #expect(choose(["br;q=0.5", "GZip ; Q = 0.8"]) == .coding(0))
        #expect(choose(["br, gzip"]) == .coding(1))
        #expect(choose(["identity, gzip;q=0.9"]) == .identity)
        #expect(choose(["identity;q=0.5, gzip;q=0.9"]) == .coding(0))
        #expect(choose(["deflate, compress"]) == .notValid)
    }

    @Test func theWildcardIsTheFirstThatIsNotRefused() {
        #expect(choose(["*"]) == .wildcard(0))
        #expect(choose(["gzip;q=0, *"]) == .wildcard(1))
        #expect(choose(["gzip;q=0, br;q=0, *"]) == .notValid)
        #expect(choose(["*;q=0.1, br;q=0.2"]) == .coding(1))
        #expect(choose(["*;q=0"]) == .notValid)
    }

    @Test func refusedAndMalformedEntriesDoNotCount() {
        #expect(choose(["gzip;q=0"]) == .notValid)
        #expect(choose(["gzip;q=x, br"]) == .coding(1))
        #expect(choose(["gzip;q=0.000"]) == .notValid)
        #expect(choose(["gzip;q=, br;q=."]) == .notValid)
        #expect(choose(["gzip;q=7"]) == .coding(0))
        #expect(choose([" , ,"]) == .notValid)
        #expect(choose([""]) == .notValid)
    }

    @Test func aFavouriteWinsAmongEquals() {
        #expect(choose(["gzip, br"], favourites: [1]) == .coding(1))
        #expect(choose(["br, gzip"], favourites: [0, 1]) == .coding(1))
        #expect(choose(["gzip, br;q=0.9"], favourites: [1]) == .coding(0))
        #expect(choose(["*"], favourites: [1]) == .wildcard(1))
    }

    @Test func ofTwoOfOneNameTheFirstCounts() {
        #expect(choose(["gzip"], ["gzip", "gzip", "br"]) == .coding(0))
        #expect(choose(["gzip;q=0, *"], ["gzip", "gzip", "br"]) == .wildcard(2))
    }
}

@Suite struct CompressionRulesTests {
    private func judge(
        _ fields: [(String, String)],
        status: UInt16 = 200,
        length: UInt64? = 1000,
        isUpgrade: Bool = false,
        _ change: (inout CompressionRules) -> Void = { _ in }
    ) -> CompressionVerdict {
        var rules = CompressionRules()
        change(&rules)
        return FieldSample(fields).look {
            rules.judge(status: status, length: length, isUpgrade: isUpgrade, $0)
        }
    }

    @Test func textsThatAreLongEnoughAreCompressed() {
        #expect(judge([("content-type", "text/html; charset=utf-8")]) == .compressible)
        #expect(judge([("Content-Type", "TEXT/HTML")]) == .compressible)
        #expect(judge([]) == .compressible)
        #expect(judge([], length: nil) == .compressible)
        #expect(judge([], length: 30) == .compressible)
        #expect(judge([], length: 29) == .tooShort)
        #expect(judge([], length: 29) { $0.minimumLength = 10 } == .compressible)
        #expect(judge([("content-type", "image/png")]) == [])
        #expect(judge([("content-type", "image/png")]) { $0.types = [Array("image/png".utf8)] } == .compressible)
        #expect(judge([]) { $0.isEnabled = false } == [])
    }

    @Test func whatCompressionWouldSpoilStays() {
        #expect(judge([("content-encoding", "br")]) == [])
        #expect(judge([("cache-control", "public, No-Transform")]) == [])
        #expect(judge([("cache-control", "public")]) == .compressible)
        #expect(judge([("transfer-encoding", "gzip, chunked")]) == [])
        #expect(judge([("transfer-encoding", "chunked")]) == .compressible)
        #expect(judge([], status: 206) == [])
        #expect(judge([("content-range", "bytes 0-9/100")]) == [])
        #expect(judge([], isUpgrade: true) == [])
        #expect(judge([], status: 404) == .compressible)
        #expect(judge([], status: 404) { $0.refusedStatuses = [404] } == [])
    }

    @Test func tagsAreWeakenedOrTakenOut() {
        #expect(judge([("etag", "\"a\"")]) == .compressible)
        #expect(judge([("etag", "\"a\"")]) { $0.stopsAtETag = true } == .hasETag)
        let etag = { (value: String, weakens: Bool) in
            FieldSample([("ETag", value)]).look { CompressionFields.etag($0, weakens: weakens) }
        }
        #expect(etag("W/\"a\"", false) == .stays)
        #expect(etag("\"a\"", false) == .goes)
        #expect(etag("\"a\"", true) == .becomes(Array("W/\"a\"".utf8)))
    }

    @Test func varyNamesAcceptEncodingOnce() {
        let vary = { (values: [String]) in
            FieldSample(values.map { ("vary", $0) }).look { CompressionFields.vary($0) }
                .map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(vary([]) == "Accept-Encoding")
        #expect(vary(["Origin"]) == "Origin, Accept-Encoding")
        #expect(vary(["Origin", "Cookie"]) == "Origin, Cookie, Accept-Encoding")
        #expect(vary(["accept-encoding, Origin"]) == nil)
        #expect(vary(["*"]) == nil)
    }

    @Test func theOutermostCodingIsUndone() {
        let takes = { (fields: [(String, String)], ignores: Bool) in
            var rules = DecompressionRules()
            rules.ignoresNoTransform = ignores
            return FieldSample(fields).look { rules.takes(FieldText.run("gzip"), $0) }
        }
        #expect(takes([("content-encoding", "gzip")], false))
        #expect(takes([("content-encoding", "br, GZIP")], false))
        #expect(!takes([("content-encoding", "gzip, br")], false))
        #expect(!takes([], false))
        #expect(!takes([("content-encoding", "gzip"), ("cache-control", "no-transform")], false))
        #expect(takes([("content-encoding", "gzip"), ("cache-control", "no-transform")], true))
        let rest = FieldSample([("content-encoding", "br, gzip")]).look { DecompressionRules.rest($0) }
        #expect(rest.map { String(decoding: $0, as: UTF8.self) } == "br")
        #expect(FieldSample([("content-encoding", "gzip")]).look { DecompressionRules.rest($0) } == nil)
    }

    @Test func theProxyTellsEndpointsWhatItUndoes() {
        let advertise = { (values: [String]) in
            FieldSample(values.map { ("accept-encoding", $0) })
                .look { DecompressionRules.advertising(FieldText.run("gzip"), $0) }
                .map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(advertise([]) == "gzip")
        #expect(advertise(["br"]) == "br,gzip")
        #expect(advertise(["gzip;q=0.1, br"]) == "br,gzip")
    }
}
