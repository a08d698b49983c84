/// The `Date` field (RFC 9110 section 5.6.7), written once a second and read by everybody on the thread.
public struct HTTPDate: BitwiseCopyable, Sendable {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    public static let count = 29
    private var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private var second: UInt64 = .max

    public init() {}

    /// Writes the text for a wall-clock second, if it is not there already.
    public mutating func update(second now: UInt64) {
        guard now != second else { return }
        second = now
        let days = now / 86_400
        let time = now % 86_400
        let (year, month, day) = Self.civil(days)
        let weekdays: StaticString = "ThuFriSatSunMonTueWed"
        let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
        withUnsafeMutableBytes(of: &bytes) { buffer in
            func put(_ position: Int, _ text: StaticString, _ from: Int, _ count: Int) {
                for offset in 0..<count { buffer[position + offset] = text.utf8Start[from + offset] }
            }
            func put(_ position: Int, number: UInt64, digits: Int) {
                var rest = number
                for offset in (0..<digits).reversed() {
                    buffer[position + offset] = 0x30 + UInt8(rest % 10)
                    rest /= 10
                }
            }
            put(0, weekdays, Int(days % 7) * 3, 3)
            put(3, ", ", 0, 2)
            put(5, number: day, digits: 2)
            put(7, " ", 0, 1)
            put(8, months, Int(month - 1) * 3, 3)
            put(11, " ", 0, 1)
            put(12, number: year, digits: 4)
            put(16, " ", 0, 1)
            put(17, number: time / 3600, digits: 2)
            put(19, ":", 0, 1)
            put(20, number: time / 60 % 60, digits: 2)
            put(22, ":", 0, 1)
            put(23, number: time % 60, digits: 2)
            put(25, " GMT", 0, 4)
        }
    }

    /// Copies the text to memory of at least `count` bytes.
    public func write(to target: UnsafeMutableRawPointer) {
        withUnsafeBytes(of: bytes) { source in
            if let start = source.baseAddress { target.copyMemory(from: start, byteCount: Self.count) }
        }
    }

    /// Year, month and day of a day since 1970 in the Gregorian calendar (400-year eras of 146 097 days).
    private static func civil(_ daysSince1970: UInt64) -> (year: UInt64, month: UInt64, day: UInt64) {
        let shifted = daysSince1970 + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
