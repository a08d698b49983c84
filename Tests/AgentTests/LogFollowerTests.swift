import Agent
import CWeft
import Glibc
import Resources
import Sandbox
import Servers
import Store
import Testing
import Wire

@Suite("Followers of logs", .timeLimit(.minutes(1)))
struct LogFollowerTests {
    private static let pod = """
        apiVersion: v1
        kind: Pod
        metadata: {name: talker, namespace: default}
        spec: {containers: [{name: main, image: any}]}
        status:
          phase: Running
          containerStatuses: [{name: main, restartCount: 0, state: {running: {}}}]
        """

    private static func line(_ text: String) -> String { "2026-01-31T12:00:00.000000000Z stdout F \(text)\n" }

    @Test("a file that was renamed is not the last one: its successor comes a moment later")
    func rotation() async throws {
        var template = Array("/tmp/weft-logs-XXXXXX\0".utf8CString)
        let path = String(cString: mkdtemp(&template))
        defer { cweft_remove_tree(path) }
        let store = try await SQLiteStore.open(path: ":memory:")
        let document = try #require(try YAML.parse(Self.pod).first)
        let pod = try await store.create(Object(document.value))
        let directory = "\(path)/pods/\(pod.uid)/logs/main"
        try makeDirectory(directory, mode: 0o755)
        try replaceFile("\(directory)/0.log", with: Self.line("before"), mode: 0o640)
        var options = PodLogOptions()
        options.follow = true
        let logs = PodLogs(stateDirectory: path, store: store)
        var pieces = try await logs.logs(of: pod, container: "main", options: options).makeAsyncIterator()
        #expect(try await pieces.next() == Array("before\n".utf8))
        rename("\(directory)/0.log", "\(directory)/0.log.1")
        let writer = Task {
            // The reader is to meet the moment without a file; if it comes later, nothing is missing either.
            try await Task.sleep(for: .milliseconds(100))
            try replaceFile("\(directory)/0.log", with: Self.line("after"), mode: 0o440)
        }
        #expect(try await pieces.next() == Array("after\n".utf8))
        #expect(try await pieces.next() == nil)
        try await writer.value
        await store.shutdown()
    }

    @Test("the log of a run that has ended is read when its last line is there")
    func lastLine() async throws {
        var template = Array("/tmp/weft-logs-XXXXXX\0".utf8CString)
        let path = String(cString: mkdtemp(&template))
        defer { cweft_remove_tree(path) }
        let store = try await SQLiteStore.open(path: ":memory:")
        let ended = Self.pod.replacing("{running: {}}", with: "{terminated: {exitCode: 0}}")
        let document = try #require(try YAML.parse(ended).first)
        let pod = try await store.create(Object(document.value))
        let directory = "\(path)/pods/\(pod.uid)/logs/main"
        let log = "\(directory)/0.log"
        try makeDirectory(directory, mode: 0o755)
        try replaceFile(log, with: Self.line("first"), mode: 0o640)
        let writer = Task {
            // The reader is to meet the moment before the last line; if it comes later, nothing is missing either.
            try await Task.sleep(for: .milliseconds(100))
            try replaceFile("\(log).new", with: Self.line("first") + Self.line("last"), mode: 0o440)
            rename("\(log).new", log)
        }
        let logs = PodLogs(stateDirectory: path, store: store)
        var text: [UInt8] = []
        for try await piece in try await logs.logs(of: pod, container: "main", options: PodLogOptions()) {
            text += piece
        }
        #expect(text == Array("first\nlast\n".utf8))
        try await writer.value
        await store.shutdown()
    }
}
