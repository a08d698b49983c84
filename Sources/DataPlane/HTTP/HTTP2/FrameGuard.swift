import CWeft

/// Looks at every frame's header before nghttp2 does, which says nothing of the frames that it ignores: counts floods, and
/// refuses what comes on streams that the peer has ended (RFC 9113 section 5.1).
///
/// Safety: `over` is made and freed by the session.
struct FrameGuard {
    let role: HTTP2Role
    /// Streams whose peer has ended its side: nothing may come on them any more.
    let over: UnsafeMutablePointer<UInt32>
    static let overCapacity = 64
    private var overPosition = 0
    /// Bytes of the client's preface that are still to come.
    private var prefaceLeft: Int
    /// Bytes of the present frame that are still to come.
    private var payloadLeft = 0
    private var header: (UInt64, UInt8) = (0, 0)
    private var headerCount = 0

    /// Streams that were begun by whoever begins them.
    var opened = 0
    private(set) var lastStream: UInt32 = 0
    /// Which of the last 64 streams up to `lastStream` the client did begin: those that it left out may never begin.
    private var begun: UInt64 = 0
    /// A head goes on: only its CONTINUATION may come, and nghttp2 refuses everything else.
    private var isInHead = false
    /// DATA frames that were sent.
    var dataSent = 0
    var emptyInRow = 0
    var controlFrames = 0
    private var priorities = 0
    private var windowUpdates = 0
    private var continuations = 0
    private(set) var fault: HTTP2Fault?

    init(_ role: HTTP2Role) {
        self.role = role
        over = .allocate(capacity: Self.overCapacity)
        over.initialize(repeating: 0, count: Self.overCapacity)
        prefaceLeft = role == .server ? 24 : 0
    }

    /// Walks over the frames in `bytes`.
    ///
    /// - Returns: how many bytes may be worked on; fewer than `count` when `fault` says why the next frame may not.
    mutating func scan(_ bytes: UnsafeRawPointer, _ count: Int, _ settings: HTTP2Settings) -> Int {
        var position = min(prefaceLeft, count)
        prefaceLeft -= position
        while position < count {
            if payloadLeft > 0 {
                let step = min(payloadLeft, count - position)
                payloadLeft -= step
                position += step
                continue
            }
            let needed = 9 - headerCount
            let step = min(needed, count - position)
            let start = position
            withUnsafeMutableBytes(of: &header) { raw in
                guard let base = raw.baseAddress else { return }
                (base + headerCount).copyMemory(from: bytes + start, byteCount: step)
            }
            headerCount += step
            position += step
            guard headerCount == 9 else { break }
            headerCount = 0
            let frame = readHeader()
            payloadLeft = frame.length
            guard look(frame, settings) else { return max(0, position - 9) }
        }
        return position
    }

    private struct Frame {
        var length = 0
        var type: UInt8 = 0
        var flags: UInt8 = 0
        var stream: UInt32 = 0
    }

    private func readHeader() -> Frame {
        withUnsafeBytes(of: header) { raw in
            Frame(
                length: Int(raw[0]) << 16 | Int(raw[1]) << 8 | Int(raw[2]),
                type: raw[3],
                flags: raw[4],
                stream: UInt32(raw[5] & 0x7F) << 24 | UInt32(raw[6]) << 16 | UInt32(raw[7]) << 8 | UInt32(raw[8])
            )
        }
    }

    private mutating func fail(_ reason: HTTP2Fault) -> Bool {
        fault = reason
        return false
    }

    private mutating func look(_ frame: Frame, _ settings: HTTP2Settings) -> Bool {
        let ends = frame.flags & 1 != 0
        if frame.type == 1 || frame.type == 9 {
            let wasInHead = isInHead
            isInHead = frame.flags & 4 == 0
            guard !wasInHead || frame.type == 9 else { return true }
        } else if isInHead {
            return true
        }
        switch frame.type {
        case 0:
            guard !isOver(frame.stream) else { return fail(.closedStream) }
            if ends { peerEnded(frame.stream) }
            return frame.length > 0 || ends || takeEmpty(settings)
        case 1:
            continuations = 0
            if frame.stream > lastStream {
                begin(frame.stream)
            } else if isOver(frame.stream) {
                return fail(.closedStream)
            } else if role == .server, wasLeftOut(frame.stream) {
                return fail(.protocolError)
            }
            if ends { peerEnded(frame.stream) }
            guard frame.length == 0, !ends else {
                emptyInRow = 0
                return true
            }
            return takeEmpty(settings)
        case 2:
            priorities &+= 1
            return priorities <= settings.maxPriorityFramesPerStream &* (1 &+ opened) || fail(.priorityFlood)
        case 3:
            peerEnded(frame.stream)
            return true
        case 8:
            windowUpdates &+= 1
            let limit = 5 &+ 2 &* (opened &+ settings.maxWindowUpdatesPerData &* dataSent)
            return windowUpdates <= limit || fail(.windowUpdateFlood)
        case 9:
            continuations &+= 1
            guard continuations <= settings.maxContinuations else { return fail(.tooManyContinuations) }
            return frame.length > 0 || frame.flags & 4 != 0 || takeEmpty(settings)
        default:
            controlFrames &+= 1
            return controlFrames <= settings.maxControlFrames || fail(.controlFrameFlood)
        }
    }

    mutating func takeEmpty(_ settings: HTTP2Settings) -> Bool {
        emptyInRow &+= 1
        return emptyInRow <= settings.maxEmptyFramesInRow || fail(.emptyFrameFlood)
    }

    private mutating func begin(_ stream: UInt32) {
        let steps = (stream &- lastStream) / 2
        begun = steps < 64 ? begun << UInt64(steps) | 1 : 1
        lastStream = stream
        if role == .server { opened &+= 1 }
    }

    private func wasLeftOut(_ stream: UInt32) -> Bool {
        let steps = (lastStream &- stream) / 2
        return steps < 64 && begun >> UInt64(steps) & 1 == 0
    }

    @inline(__always)
    private mutating func peerEnded(_ stream: UInt32) {
        over[overPosition] = stream
        overPosition = (overPosition &+ 1) & (Self.overCapacity &- 1)
    }

    private func isOver(_ stream: UInt32) -> Bool {
        guard stream > 0 else { return false }
        var found = false
        for index in 0..<Self.overCapacity { found = found || over[index] == stream }
        return found
    }
}
