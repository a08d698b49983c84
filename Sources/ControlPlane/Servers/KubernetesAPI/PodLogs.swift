package import Resources

/// Where the API reads the logs of containers.
package protocol PodLogSource: Sendable {
    /// The lines of one container of a pod, oldest first, in pieces as they come; each piece holds whole lines with their
    /// line ends. The stream ends at the end of the log, or with `follow` when the container or the pod is gone.
    ///
    /// - Throws: `APIError` 400 when the container never started (the message says what it waits for), 404 when there is
    ///   no log.
    func logs(
        of pod: Object,
        container: String,
        options: PodLogOptions
    ) async throws(APIError) -> AsyncThrowingStream<[UInt8], any Error>
}

/// One of the two streams that a container writes.
package enum PodLogStream: String, Sendable {
    case output = "stdout"
    case errors = "stderr"
}

/// Which lines of a log, and how.
package struct PodLogOptions: Sendable, Equatable {
    /// Go on when the end is reached.
    package var follow = false
    /// With `follow`: go on with the container's next run when one has ended.
    package var followsRestarts = false
    /// Of the container that ran before the last restart.
    package var previous = false
    /// Only what was written to one of the streams; nil for both.
    package var stream: PodLogStream?
    /// Put the time before each line.
    package var timestamps = false
    /// Only so many lines from the end; nil for all.
    package var tailLines: Int?
    /// Only lines written since; nil for all.
    package var since: Timestamp?
    /// At most so many bytes; nil for all.
    package var limitBytes: Int?

    package init() {}
}
