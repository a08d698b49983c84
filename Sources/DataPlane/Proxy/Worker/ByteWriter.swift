import CWeft
import Traffic

/// Writes into a fixed stretch of memory; what does not fit sets `overflowed` and is left out.
struct ByteWriter {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    var count = 0
    var overflowed = false

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer, capacity: Int) {
        self.base = base
        self.capacity = capacity
    }

    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ length: Int) {
        guard length <= capacity &- count else {
            overflowed = true
            return
        }
        (base + count).copyMemory(from: bytes, byteCount: length)
        count &+= length
    }

    @inline(__always)
    mutating func put(_ text: StaticString) { put(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always)
    mutating func put(_ run: ByteRun) {
        if let start = run.start { put(start, run.count) }
    }

    @inline(__always)
    mutating func put(byte: UInt8) {
        guard count < capacity else {
            overflowed = true
            return
        }
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    mutating func endLine() {
        guard capacity &- count >= 2 else {
            overflowed = true
            return
        }
        base.storeBytes(of: 13, toByteOffset: count, as: UInt8.self)
        base.storeBytes(of: 10, toByteOffset: count &+ 1, as: UInt8.self)
        count &+= 2
    }

    mutating func put(decimal value: UInt64) {
        guard capacity &- count >= 20 else {
            overflowed = true
            return
        }
        var digits = 1
        var bound: UInt64 = 10
        while digits < 20, value >= bound {
            digits &+= 1
            bound = digits == 20 ? .max : bound &* 10
        }
        var rest = value
        var offset = count &+ digits
        repeat {
            offset &-= 1
            let next = rest / 10
            base.storeBytes(
                of: 0x30 &+ UInt8(truncatingIfNeeded: rest &- next &* 10),
                toByteOffset: offset,
                as: UInt8.self
            )
            rest = next
        } while rest > 0
        count &+= digits
    }

    /// Lower-case hexadecimal digits without leading zeros.
    mutating func put(hexadecimal value: UInt64) {
        let digits = value == 0 ? 1 : (64 - value.leadingZeroBitCount + 3) / 4
        put(hexadecimal: value, digits: digits)
    }

    mutating func put(hexadecimal value: UInt64, digits: Int) {
        guard capacity &- count >= digits else {
            overflowed = true
            return
        }
        for offset in 0..<digits {
            let nibble = UInt8(truncatingIfNeeded: value >> UInt64((digits - 1 - offset) * 4)) & 15
            base.storeBytes(
                of: nibble < 10 ? 0x30 + nibble : 0x57 + nibble,
                toByteOffset: count + offset,
                as: UInt8.self
            )
        }
        count += digits
    }

    mutating func put(string text: String) {
        var copy = text
        copy.withUTF8 { if let start = $0.baseAddress { put(start, $0.count) } }
    }
}
