import Bytes
import Glibc
import Reactor

/// Writes to clients' connections.
extension Worker {
    /// Sends up to three pieces in one call; what the kernel does not take now is kept and sent when it can. With `more`
    /// further bytes or the end of the connection follow at once.
    ///
    /// - Returns: false when the connection broke and is closed.
    @discardableResult
    func sendDownstream(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ first: UnsafeRawPointer?,
        _ firstCount: Int,
        _ data: UnsafeRawPointer? = nil,
        _ dataCount: Int = 0,
        _ last: UnsafeRawPointer? = nil,
        _ lastCount: Int = 0,
        more: Bool = false
    ) -> Bool {
        let total = firstCount &+ dataCount &+ lastCount
        guard total > 0, !place.pointee.flags.contains(.isShadow) else { return true }
        if place.pointee.isStream {
            return sendStream(index, place, nil, 0, first, firstCount, isDone: false)
                && sendStream(index, place, nil, 0, data, dataCount, isDone: false)
                && sendStream(index, place, nil, 0, last, lastCount, isDone: false)
        }
        var sent = 0
        if place.pointee.output.isEmpty {
            sent = send(place, first, firstCount, data, dataCount, last, lastCount, more: more)
            if sent == total { return true }
            if sent < 0 {
                guard sent == -Int(EAGAIN) else {
                    closeDownstream(index, place, flags: .downstreamTermination)
                    return false
                }
                sent = 0
            }
        }
        guard keep(place, sent, first, firstCount, data, dataCount, last, lastCount) else {
            closeDownstream(index, place, flags: .localReset)
            return false
        }
        armWriting(index, place)
        return true
    }

    func armWriting(_ index: Int32, _ place: DownstreamPlace) {
        guard !place.pointee.flags.contains(.writeArmed) else { return }
        place.pointee.flags.insert(.writeArmed)
        updateInterest(index, place)
    }

    /// Keeps what was not sent. When that is one piece at the scratch buffer's end, the buffer itself changes hands: no copy.
    private func keep(
        _ place: DownstreamPlace,
        _ sent: Int,
        _ first: UnsafeRawPointer?,
        _ firstCount: Int,
        _ data: UnsafeRawPointer?,
        _ dataCount: Int,
        _ last: UnsafeRawPointer?,
        _ lastCount: Int
    ) -> Bool {
        if sent >= firstCount, lastCount == 0, place.pointee.output.isEmpty, let data, let base = scratch.base,
            data >= UnsafeRawPointer(base), data + dataCount <= UnsafeRawPointer(base) + Int(scratch.capacity),
            dataCount - (sent - firstCount) >= 16_384, let fresh = buffers.take(Limits.readSize)
        {
            buffers.give(&place.pointee.output)
            place.pointee.output = scratch
            place.pointee.output.start = Int32(data - UnsafeRawPointer(base)) &+ Int32(sent - firstCount)
            place.pointee.output.end = Int32(data - UnsafeRawPointer(base)) &+ Int32(dataCount)
            scratch = fresh
            return true
        }
        var skipped = sent
        func add(_ piece: UnsafeRawPointer?, _ count: Int) -> Bool {
            let skip = min(skipped, count)
            skipped -= skip
            guard let piece, count > skip else { return true }
            return buffers.append(&place.pointee.output, piece + skip, count - skip)
        }
        return add(first, firstCount) && add(data, dataCount) && add(last, lastCount)
    }

    /// Sends what is kept; goes on with whatever waited for it.
    func flushDownstream(_ index: Int32, _ place: DownstreamPlace) {
        if let bytes = place.pointee.output.bytes, !place.pointee.output.isEmpty {
            let sent = send(place, bytes, place.pointee.output.count)
            if sent < 0 {
                if sent != -Int(EAGAIN) { closeDownstream(index, place, flags: .downstreamTermination) }
                return
            }
            place.pointee.output.start &+= Int32(sent)
            activity(place)
            guard place.pointee.output.isEmpty else { return }
        }
        buffers.give(&place.pointee.output)
        place.pointee.flags.remove(.writeArmed)
        updateInterest(index, place)
        downstreamFlushed(index, place)
    }

    /// Everything is out: reading on the other side goes on, or the connection ends as it was to end.
    private func downstreamFlushed(_ index: Int32, _ place: DownstreamPlace) {
        if place.pointee.state == .http2 {
            touch(sessions.pointer(place.pointee.session))
            return
        }
        if place.pointee.flags.contains(.closesWhenFlushed) {
            linger(index, place)
            return
        }
        if place.pointee.state == .echo {
            resumeReading(index, place)
            return
        }
        if place.pointee.exchange >= 0 {
            let exchange = exchanges.pointer(place.pointee.exchange)
            if exchange.pointee.upstream >= 0 {
                let upstream = upstreams.pointer(exchange.pointee.upstream)
                if place.pointee.state == .tunnel, upstream.pointee.flags.contains(.readEnded) {
                    endTunnelDirection(toDownstream: index, place)
                    return
                }
                resumeReading(exchange.pointee.upstream, upstream)
            }
        } else if place.pointee.flags.contains(.readEnded), place.pointee.input.isEmpty {
            closeDownstream(index, place, flags: [])
        } else if !place.pointee.input.isEmpty {
            enqueue(index, place)
        }
    }

    @inline(__always)
    func activity(_ place: DownstreamPlace) {
        guard place.pointee.exchange >= 0 else { return }
        exchanges.pointer(place.pointee.exchange).pointee.lastActivity = now
    }
}
