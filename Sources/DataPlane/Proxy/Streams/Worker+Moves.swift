import Bytes
import Glibc
import Reactor

/// Bytes that nobody between two sockets wants to see are moved from one to the other inside the kernel: through a pipe that is
/// empty between two moves. What the receiving side does not take at once is read out of it and waits in a buffer, as always.
extension Worker {
    /// What a move answers where bytes have to be copied.
    static var cannotMove: Int { -Int(EINVAL) }

    /// Whether both sides are plain sockets.
    @inline(__always)
    func canMove(_ upstream: UpstreamPlace, _ place: DownstreamPlace) -> Bool {
        upstream.pointee.tls == nil && place.pointee.tls == nil && !upstream.pointee.isStream
            && !place.pointee.isStream && !place.pointee.flags.contains(.isShadow) && !refusesMoves
    }

    /// Whether filters change the answer's body, or slow it down: it has to be seen.
    @inline(__always)
    private func isTransformed(_ exchange: ExchangePlace) -> Bool {
        guard exchange.pointee.extras != nil, let run = exchange.filterRun else { return false }
        return !run.pointee.answerTransforms.isEmpty || exchange.pointee.extras?.pointee.pace != nil
    }

    /// Fills the pipe: a count, 0 at the end of the stream, or `-errno`.
    private func fillPipe(from socket: Int32, _ count: Int) -> Int {
        if pipe == nil { pipe = SplicePipe() }
        guard let pipe else { return Self.cannotMove }
        let moved = pipe.fill(from: socket, count)
        switch Int32(clamping: -moved) {
        case EINVAL, ENOSYS, EPERM, EACCES, EOPNOTSUPP:
            refusesMoves = true
            return Self.cannotMove
        default: return moved
        }
    }

    /// Throws away the pipe with what is in it.
    func dropPipe() {
        pipe?.close()
        pipe = nil
    }

    /// Brings `count` bytes out of the pipe to where they wait; false when that is impossible.
    private func keepPiped(_ count: Int, _ buffer: inout Buffer) -> Bool {
        guard let pipe, buffers.reserve(&buffer, count), let tail = buffer.tail, pipe.read(tail, count) == count else {
            dropPipe()
            return false
        }
        buffer.end &+= Int32(count)
        return true
    }

    // MARK: To clients

    /// Empties the pipe of `count` bytes towards a client. False when the connection broke and is closed.
    private func drainPipe(_ count: Int, _ index: Int32, _ place: DownstreamPlace) -> Bool {
        var sent = 0
        if place.pointee.output.isEmpty {
            sent = pipe?.drain(to: place.pointee.fd, count) ?? -Int(EPIPE)
            if sent == count { return true }
            guard sent >= 0 || sent == -Int(EAGAIN) else {
                dropPipe()
                closeDownstream(index, place, flags: .downstreamTermination)
                return false
            }
        }
        guard keepPiped(count - max(0, sent), &place.pointee.output) else {
            closeDownstream(index, place, flags: .localReset)
            return false
        }
        armWriting(index, place)
        return true
    }

    /// The first bytes of a long body, behind the head and what was read with it. Nil: nothing was moved.
    func moveBody(
        _ upstream: UpstreamPlace,
        _ exchange: ExchangePlace,
        _ place: DownstreamPlace,
        behind head: ByteWriter,
        _ bytes: UnsafeRawPointer,
        _ count: Int
    ) -> Bool? {
        guard canMove(upstream, place), place.pointee.output.isEmpty, !isTransformed(exchange) else { return nil }
        let most = min(
            Limits.mostMove,
            Int(upstream.pointee.readLimit),
            Int(clamping: exchange.pointee.responseBody.left)
        )
        let room = BufferPool.sizes.3 - head.count - count
        guard room > 0 else { return nil }
        let moved = fillPipe(from: upstream.pointee.fd, min(most, room))
        guard moved > 0 else { return nil }
        exchange.pointee.responseBody.pass(moved)
        exchange.pointee.bytesSent &+= UInt64(moved)
        let index = exchange.pointee.downstream
        guard sendDownstream(index, place, head.base, head.count, bytes, count, more: true) else {
            dropPipe()
            return false
        }
        return drainPipe(moved, index, place)
    }

    /// More of a long body: what `receive` would answer. After a count the exchange may be gone with its client.
    func moveBody(_ upstream: UpstreamPlace, _ exchange: ExchangePlace) -> Int {
        let left = exchange.pointee.responseBody.left
        let index = exchange.pointee.downstream
        let place = downstreams.pointer(index)
        guard left >= UInt64(Limits.firstRead), canMove(upstream, place), !isTransformed(exchange) else {
            return Self.cannotMove
        }
        let most = min(Limits.mostMove, Int(upstream.pointee.readLimit), Int(clamping: left))
        let moved = fillPipe(from: upstream.pointee.fd, most)
        guard moved > 0 else { return moved }
        exchange.pointee.lastActivity = now
        exchange.pointee.responseBody.pass(moved)
        exchange.pointee.bytesSent &+= UInt64(moved)
        return drainPipe(moved, index, place) ? moved : -Int(EAGAIN)
    }

    // MARK: Relays

    /// Bytes of a relay from the client; nil: they have to be copied. Else what `receive` would answer, and they are on their way.
    func moveUp(_ index: Int32, _ place: DownstreamPlace, _ upstreamIndex: Int32, _ exchange: ExchangePlace) -> Int? {
        let upstream = upstreams.pointer(upstreamIndex)
        guard canMove(upstream, place) else { return nil }
        let moved = fillPipe(from: place.pointee.fd, min(Limits.mostMove, Int(place.pointee.readLimit)))
        if moved == Self.cannotMove { return nil }
        exchange.pointee.movesUp = moved >= Limits.firstRead || moved == -Int(EAGAIN)
        guard moved > 0 else { return moved }
        let sent = pipe?.drain(to: upstream.pointee.fd, moved) ?? -Int(EPIPE)
        if sent == moved { return moved }
        guard sent >= 0 || sent == -Int(EAGAIN) else {
            dropPipe()
            closeDownstream(index, place, flags: .upstreamRemoteReset)
            return -Int(EAGAIN)
        }
        guard keepPiped(moved - max(0, sent), &exchange.pointee.request) else {
            closeDownstream(index, place, flags: .localReset)
            return -Int(EAGAIN)
        }
        exchange.pointee.requestSent = 0
        armWriting(upstreamIndex, upstream, true)
        return moved
    }

    /// The same from the endpoint.
    func moveDown(_ upstream: UpstreamPlace, _ index: Int32, _ place: DownstreamPlace, _ exchange: ExchangePlace)
        -> Int?
    {
        guard canMove(upstream, place) else { return nil }
        let moved = fillPipe(from: upstream.pointee.fd, min(Limits.mostMove, Int(upstream.pointee.readLimit)))
        if moved == Self.cannotMove { return nil }
        exchange.pointee.movesDown = moved >= Limits.firstRead || moved == -Int(EAGAIN)
        guard moved > 0 else { return moved }
        return drainPipe(moved, index, place) ? moved : -Int(EAGAIN)
    }
}
