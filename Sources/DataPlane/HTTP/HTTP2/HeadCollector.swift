import CWeft

/// Gathers the fields of one header block into text of HTTP/1, with every byte checked once more.
///
/// Safety: one thread; lives in memory of `HTTP2Shared`, which lends it to a session from the first field of a block to its last.
struct HeadCollector {
    /// Bytes that grow as they are needed, up to the limit of a head.
    struct Run {
        var base: UnsafeMutablePointer<UInt8>
        var capacity: Int
        var count = 0

        init(_ capacity: Int) {
            base = .allocate(capacity: capacity)
            self.capacity = capacity
        }

        @inline(__always)
        mutating func put(_ bytes: UnsafeRawPointer, _ length: Int) {
            if capacity &- count < length { grow(length) }
            UnsafeMutableRawPointer(base + count).copyMemory(from: bytes, byteCount: length)
            count &+= length
        }

        @inline(__always)
        mutating func put(_ text: StaticString) { put(text.utf8Start, text.utf8CodeUnitCount) }

        private mutating func grow(_ length: Int) {
            let larger = max(capacity * 2, count + length)
            let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
            fresh.update(from: base, count: count)
            base.deallocate()
            base = fresh
            capacity = larger
        }
    }

    /// A pseudo header's value within `pseudo`.
    struct Place {
        var start = 0
        var count = -1
    }

    var text = Run(4096)
    var pseudo = Run(1024)
    var cookies = Run(512)
    var method = Place()
    var path = Place()
    var authority = Place()
    var scheme = Place()
    var status = Place()
    var protocolName = Place()
    var isClient = false
    var isTrailers = false
    var hasLine = false
    var hasHost = false
    var isMalformed = false
    var isTooLarge = false
    var hasTooManyFields = false
    var cost = 0
    var fields = 0
    var crumbs = 0

    /// Begins a block of a server (requests) or a client (responses).
    mutating func begin(isClient: Bool) {
        self.isClient = isClient
        text.count = 0
        pseudo.count = 0
        cookies.count = 0
        method = Place()
        path = Place()
        authority = Place()
        scheme = Place()
        status = Place()
        protocolName = Place()
        isTrailers = false
        hasLine = false
        hasHost = false
        isMalformed = false
        isTooLarge = false
        hasTooManyFields = false
        cost = 0
        fields = 0
        crumbs = 0
    }

    func free() {
        text.base.deallocate()
        pseudo.base.deallocate()
        cookies.base.deallocate()
    }

    /// Takes a field. False: it goes on far beyond the limits, and the connection is to end.
    mutating func add(
        _ name: UnsafePointer<UInt8>,
        _ nameLength: Int,
        _ value: UnsafePointer<UInt8>,
        _ valueLength: Int,
        bytes: Int,
        fieldLimit: Int
    ) -> Bool {
        cost &+= nameLength &+ valueLength &+ 4
        guard cost <= bytes, !hasTooManyFields else {
            if cost > bytes { isTooLarge = true }
            fields &+= 1
            // The rest is only counted: a block that is ten times too large has no honest sender.
            return cost <= bytes * 4 &+ 65_536 && fields &+ crumbs <= (fieldLimit &+ 100) * 10
        }
        guard !isMalformed else { return true }
        if nameLength > 0, name[0] == 0x3A {
            addPseudo(name, nameLength, value, valueLength)
            return true
        }
        guard cweft_scan_token(name, nameLength) == nameLength, nameLength > 0,
            cweft_scan_value(value, valueLength) == valueLength
        else {
            isMalformed = true
            return true
        }
        if !hasLine { writeLine() }
        if nameLength == 6, FieldName.matches(name, "cookie", 6), !isTrailers {
            crumbs &+= 1
            hasTooManyFields = crumbs > fieldLimit * 4
            if cookies.count > 0 { cookies.put("; ") }
            cookies.put(value, valueLength)
            return true
        }
        if nameLength == 4, FieldName.matches(name, "host", 4), !isClient {
            addHost(value, valueLength)
            return true
        }
        fields &+= 1
        if fields > fieldLimit { hasTooManyFields = true }
        text.put(name, nameLength)
        text.put(": ")
        text.put(value, valueLength)
        text.put("\r\n")
        return true
    }

    private mutating func addPseudo(
        _ name: UnsafePointer<UInt8>,
        _ nameLength: Int,
        _ value: UnsafePointer<UInt8>,
        _ valueLength: Int
    ) {
        guard !hasLine, cweft_scan_visible(value, valueLength) == valueLength else {
            isMalformed = true
            return
        }
        let place = Place(start: pseudo.count, count: valueLength)
        pseudo.put(value, valueLength)
        func isNamed(_ text: StaticString) -> Bool {
            text.utf8CodeUnitCount == nameLength && cweft_same(name, text.utf8Start, nameLength) != 0
        }
        if isNamed(":method") {
            isMalformed = method.count >= 0 || cweft_scan_token(value, valueLength) != valueLength || valueLength == 0
            method = place
        } else if isNamed(":path") {
            isMalformed = path.count >= 0 || valueLength == 0
            path = place
        } else if isNamed(":authority") {
            isMalformed = authority.count >= 0
            authority = place
        } else if isNamed(":scheme") {
            isMalformed = scheme.count >= 0
            scheme = place
        } else if isNamed(":status") {
            isMalformed = status.count >= 0 || valueLength != 3
            status = place
        } else if isNamed(":protocol") {
            isMalformed = protocolName.count >= 0
            protocolName = place
        } else {
            isMalformed = true
        }
    }

    /// `Host` beside or in place of `:authority`: both must say the same (RFC 9113 section 8.3.1).
    private mutating func addHost(_ value: UnsafePointer<UInt8>, _ length: Int) {
        guard !isTrailers else { return }
        if hasHost {
            let same =
                authority.count == length
                && cweft_equals_ignoring_case(value, pseudo.base + authority.start, length) != 0
            if !same { isMalformed = true }
            return
        }
        hasHost = true
        authority = Place(start: pseudo.count, count: length)
        pseudo.put(value, length)
        text.put("host: ")
        text.put(value, length)
        text.put("\r\n")
    }

    var isWebSocket: Bool { isValue(protocolName, "websocket") }

    func isValue(_ place: Place, _ wanted: StaticString) -> Bool {
        place.count == wanted.utf8CodeUnitCount
            && cweft_equals_lower(pseudo.base + place.start, wanted.utf8Start, place.count) != 0
    }

    private func isMethod(_ wanted: StaticString) -> Bool {
        method.count == wanted.utf8CodeUnitCount
            && cweft_same(pseudo.base + method.start, wanted.utf8Start, method.count) != 0
    }

    private mutating func put(_ place: Place) {
        if place.count > 0 { text.put(pseudo.base + place.start, place.count) }
    }

    /// The pseudo headers are all here: they become the start line.
    mutating func writeLine() {
        hasLine = true
        guard !isTrailers else { return }
        if isClient {
            if status.count < 0 {
                isTrailers = true
                return
            }
            text.put("HTTP/1.1 ")
            put(status)
            text.put(" \r\n")
            return
        }
        if method.count < 0 {
            isMalformed = true
            return
        }
        if isWebSocket {
            text.put("GET ")
        } else {
            put(method)
            text.put(" ")
        }
        if isMethod("CONNECT"), protocolName.count < 0 {
            if path.count >= 0 || authority.count <= 0 { isMalformed = true }
            put(authority)
        } else {
            if path.count < 0 { isMalformed = true }
            if path.count > 0, pseudo.base[path.start] != 0x2F, !isValue(path, "*") { isMalformed = true }
            put(path)
        }
        text.put(" HTTP/1.1\r\n")
        if authority.count > 0 {
            hasHost = true
            text.put("host: ")
            put(authority)
            text.put("\r\n")
        } else if authority.count == 0 {
            isMalformed = true
        }
    }

    /// The block is whole.
    mutating func finish(key: (UInt64, UInt64)) {
        if !hasLine { writeLine() }
        if cookies.count > 0 {
            text.put("cookie: ")
            text.put(cookies.base, cookies.count)
            text.put("\r\n")
        }
        if isWebSocket, !isClient { writeUpgrade(key) }
        if !isTrailers { text.put("\r\n") }
    }

    /// What an upgrade in HTTP/1 has and extended CONNECT has not (RFC 8441 section 5).
    private mutating func writeUpgrade(_ key: (UInt64, UInt64)) {
        text.put("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ")
        WebSocketKey.write(key) { text.put($0, 24) }
        text.put("\r\n")
    }
}
