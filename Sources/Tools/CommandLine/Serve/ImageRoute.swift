import Glibc
import Images
import Resources
import Servers
import Telemetry
import Wire

/// `imagestore`, `imagestore/inspect?image=NAME`, and with POST `imagestore/{load,pull,remove,prune}`: the images of this machine, for
/// the user of the daemon alone.
struct ImageRoute: Sendable {
    let host: ImageHost

    func answer(_ request: HTTPRequest, _ rest: [String]) async -> HTTPResponse {
        // Paths of this machine and credentials pass here.
        guard request.origin.transport == .unix, let uid = request.origin.uid, uid == geteuid() || uid == 0 else {
            return KubernetesAPI.refusal(
                APIError(
                    code: 403,
                    reason: .forbidden,
                    message: "images are handled over the daemon's own socket, by its user alone"
                )
            )
        }
        do throws(ImageError) {
            let work = ImageWork(store: try await host.store())
            let body = request.body.isEmpty ? .null : (try? JSON.parse(request.body)) ?? .null
            let image = request.queryValue("image") ?? body["image"]?.stringValue ?? ""
            switch (request.method, rest.first ?? "") {
            case ("GET", ""): return .json(JSON.bytes(await work.list()))
            case ("GET", "inspect"): return .json(JSON.bytes(try await work.inspect(image)))
            case ("POST", "remove"): return .json(JSON.bytes(try await work.remove(image)))
            case ("POST", "prune"):
                return .json(JSON.bytes(try await work.prune(isAll: body["all"]?.boolValue ?? false)))
            case ("POST", "load"):
                return Self.stream { (progress) throws(ImageError) in try await work.load(body, progress) }
            case ("POST", "pull"):
                return Self.stream { (progress) throws(ImageError) in try await work.pull(body, progress) }
            default:
                return KubernetesAPI.refusal(.badRequest("there is no such call: \(request.method) \(request.path)"))
            }
        } catch {
            return KubernetesAPI.refusal(Self.error(error))
        }
    }

    static func error(_ error: ImageError) -> APIError {
        switch error.kind {
        case .invalidName: .badRequest(error.message)
        case .notFound: APIError(code: 404, reason: .notFound, message: error.message)
        case .inUse: APIError(code: 409, reason: .conflict, message: error.message)
        default: APIError(code: 500, reason: .internalError, message: error.message)
        }
    }

    /// Lines of `{"progress": ...}`, and at last `{"result": ...}` or `{"error": ...}`. Who goes away ends the work.
    private static func stream(
        _ work: @escaping @Sendable (@escaping ImageWork.Progress) async throws(ImageError) -> Value
    ) -> HTTPResponse {
        HTTPResponse(
            status: 200,
            headers: ["Content-Type": "application/x-ndjson"],
            body: .stream { writer in
                let (lines, input) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: .bufferingNewest(1000))
                let task = Task {
                    do throws(ImageError) {
                        let result = try await work { input.yield(["progress": $0]) }
                        input.yield(["result": result])
                    } catch {
                        input.yield([
                            "error": ["kind": .string(error.kind.rawValue), "message": .string(error.message)]
                        ])
                    }
                    input.finish()
                }
                // A sign of life finds out whether somebody still listens.
                let pulse = Task {
                    while (try? await Task.sleep(for: .seconds(2))) != nil { input.yield([:]) }
                }
                defer {
                    pulse.cancel()
                    task.cancel()
                }
                for await line in lines { try await writer.write(JSON.write(line) + "\n") }
            }
        )
    }

    /// What was pulled since the daemon began, in the format of the page that it is added to.
    static func metrics(_ figures: ImageFigures, isOpenMetrics: Bool) -> [UInt8] {
        var text = PrometheusText(isOpenMetrics ? .openMetrics : .prometheus)
        text.family("weft_image_pulls_total", .counter, help: "Images that were fetched.")
        text.sample("weft_image_pulls_total", .empty, figures.pulls)
        text.family("weft_image_pull_failures_total", .counter, help: "Images that could not be fetched, by reason.")
        for (kind, count) in figures.failures.sorted(by: { $0.key < $1.key }) {
            text.sample("weft_image_pull_failures_total", LabelSet([("reason", kind)]), count)
        }
        text.family("weft_image_pull_bytes_total", .counter, help: "Packed bytes that were fetched.")
        text.sample("weft_image_pull_bytes_total", .empty, figures.fetchedBytes)
        text.family("weft_image_pull_seconds_total", .counter, help: "Time that fetching images took.")
        text.sample("weft_image_pull_seconds_total", .empty, Double(figures.pullMicroseconds) / 1_000_000)
        text.family("weft_images_collected_total", .counter, help: "Unused images that made room.")
        text.sample("weft_images_collected_total", .empty, figures.collected)
        text.family("weft_images", .gauge, help: "Images in the store.")
        text.sample("weft_images", .empty, UInt64(figures.images))
        text.family("weft_images_bytes", .gauge, help: "Bytes of the unpacked layers in the store.")
        text.sample("weft_images_bytes", .empty, UInt64(max(0, figures.storedBytes)))
        return text.bytes
    }
}
