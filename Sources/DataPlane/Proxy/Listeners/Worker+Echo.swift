import Bytes
import Glibc

/// Chains that need no endpoint: `echo` and `direct_response`.
extension Worker {
    /// Says the text and ends.
    func answerWithText(_ index: Int32, _ place: DownstreamPlace, _ text: [UInt8]) {
        let generation = place.pointee.generation
        place.pointee.state = .echo
        place.pointee.since = now
        buffers.give(&place.pointee.input)
        let isAlive = text.withUnsafeBytes { sendDownstream(index, place, $0.baseAddress, $0.count) }
        guard isAlive, downstreams.find(index, generation: generation) != nil else { return }
        guard place.pointee.output.isEmpty else {
            place.pointee.flags.insert(.closesWhenFlushed)
            pauseReading(index, place)
            armDownstream(index, place)
            return
        }
        linger(index, place)
    }

    func startEcho(_ index: Int32, _ place: DownstreamPlace) {
        place.pointee.state = .echo
        place.pointee.since = now
        armDownstream(index, place)
        guard let bytes = place.pointee.input.bytes, !place.pointee.input.isEmpty else { return }
        let generation = place.pointee.generation
        guard sendDownstream(index, place, bytes, place.pointee.input.count) else { return }
        guard downstreams.find(index, generation: generation) != nil else { return }
        buffers.give(&place.pointee.input)
        if !place.pointee.output.isEmpty { pauseReading(index, place) }
    }

    func readEcho(_ index: Int32, _ place: DownstreamPlace) {
        guard place.pointee.output.isEmpty, let memory = scratch.base else {
            pauseReading(index, place)
            return
        }
        let count = receive(index, place, memory, Int(scratch.capacity))
        guard count > 0 else {
            if count == -Int(EAGAIN) { return }
            closeDownstream(index, place, flags: count < 0 ? .downstreamTermination : [])
            return
        }
        guard sendDownstream(index, place, nil, 0, memory, count) else { return }
        if !place.pointee.output.isEmpty { pauseReading(index, place) }
    }
}
