import Agent
import Testing

@Suite("Rules of images")
struct ImageRulesTests {
    @Test("command and args meet entrypoint and cmd by Kubernetes' table")
    func arguments() {
        var image = ContainerImage(statusID: "", layers: [])
        image.entrypoint = ["/entry"]
        image.cmd = ["c"]
        #expect(image.arguments(command: [], args: []) == ["/entry", "c"])
        #expect(image.arguments(command: ["/mine"], args: []) == ["/mine"])
        #expect(image.arguments(command: [], args: ["a"]) == ["/entry", "a"])
        #expect(image.arguments(command: ["/mine"], args: ["a"]) == ["/mine", "a"])
    }

    @Test(
        "signals are read as images write them",
        arguments: [
            ("", 15), ("SIGQUIT", 3), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("SIGRTMAX-1", 63), ("NO", nil),
            ("0", nil),
            ("65", nil), ("RTMIN+99", nil),
        ] as [(String, Int32?)]
    )
    func signals(words: String, number: Int32?) { #expect(StopSignal.number(words) == number) }

    @Test("users and groups come from the image's files, and hostile lines are passed over")
    func accounts() throws {
        let accounts = ImageAccounts(
            passwd: "root:x:0:0:r:/root:/bin/sh\nbroken\nbig:x:99999999999:1::/:\nweb:x:101:102:w:/home/web:/bin/sh",
            group: "web:x:102:\nextra:x:103:a,web\nothers:x:104:a\n:::\n"
        )
        let root = try accounts.identity("")
        #expect(root.user == 0 && root.group == 0 && root.groups.isEmpty && root.home == "/root" && root.isNumeric)
        for words in ["web", "101"] {
            let web = try accounts.identity(words)
            #expect(web.user == 101 && web.group == 102 && web.groups == [103] && web.home == "/home/web")
            #expect(web.isNumeric == (words == "101"))
        }
        #expect(try accounts.identity("web:others").group == 104 && accounts.identity("web:7").groups.isEmpty)
        let unknown = try accounts.identity("4242:9")
        #expect(unknown.user == 4242 && unknown.group == 9 && unknown.home == "/")
        for words in ["big", "nobody", "web:none", "-1", "4294967295"] {
            #expect(throws: EnvironmentBuilder.Missing.self) { try accounts.identity(words) }
        }
    }
}
