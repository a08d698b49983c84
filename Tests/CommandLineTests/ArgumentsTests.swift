import CommandLine
import Testing

@Suite("Arguments")
struct ArgumentsTests {
    static let command = Command(
        "get",
        operands: "KIND [NAME...]",
        summary: "prints objects",
        options: [
            Option("namespace", short: "n", value: "NAME", help: "where"),
            Option("all-namespaces", short: "A", help: "everywhere"),
            Option("output", short: "o", value: "FORMAT", help: "how"),
            Option("watch", short: "w", help: "go on"),
        ],
        operandCount: 1...3
    ) { _ in .success }

    @Test(
        "options stand anywhere, in every common spelling",
        arguments: [
            ["pods", "-n", "shop", "-o", "json"], ["-nshop", "pods", "-ojson"],
            ["--namespace=shop", "--output", "json", "pods"], ["-n=shop", "-o=json", "pods"],
        ]
    )
    func spellings(words: [String]) throws {
        let arguments = try Arguments(words, for: Self.command)
        #expect(arguments.operands == ["pods"])
        #expect(arguments.value("namespace") == "shop")
        #expect(arguments.value("output") == "json")
    }

    @Test("switches may be grouped, and the last of the group may take a value")
    func groups() throws {
        let arguments = try Arguments(["-Awo", "yaml", "pods"], for: Self.command)
        #expect(arguments.isSet("all-namespaces") && arguments.isSet("watch"))
        #expect(arguments.value("output") == "yaml")
    }

    @Test("after -- every word is an operand")
    func endOfOptions() throws {
        #expect(try Arguments(["pods", "--", "-n"], for: Self.command).operands == ["pods", "-n"])
    }

    @Test("a switch can be turned off by its value")
    func switchValue() throws {
        #expect(try !Arguments(["pods", "--watch=false"], for: Self.command).isSet("watch"))
    }

    @Test(
        "a wrong command line is explained",
        arguments: [
            (["pods", "--namespaec", "x"], "'--namespaec' is no option of 'weft get' (did you mean --namespace?)"),
            (["pods", "-x"], "'-x' is no option of 'weft get'"),
            (["pods", "-n"], "--namespace needs a value: --namespace NAME"),
            (["pods", "--watch=yes"], "--watch takes no value"),
            ([], "'weft get' needs KIND [NAME...]"),
            (["a", "b", "c", "d"], "'weft get' does not take 'd'; usage: weft get KIND [NAME...]"),
        ]
    )
    func mistakes(words: [String], message: String) {
        #expect(throws: UsageError(message)) { try Arguments(words, for: Self.command) }
    }

    @Test("--help asks for nothing else")
    func help() throws {
        #expect(try Arguments(["--help"], for: Self.command).isSet("help"))
    }

    @Test(
        "a misspelt word finds its neighbour, a strange one does not",
        arguments: [("aply", "apply"), ("Delete", "delete"), ("frobnicate", nil)] as [(String, String?)]
    )
    func spelling(word: String, expected: String?) {
        #expect(Spelling.nearest(to: word, among: ["apply", "delete", "get", "up"]) == expected)
    }
}
