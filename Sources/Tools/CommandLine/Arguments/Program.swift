import Glibc

/// The program `weft`: finds the command, runs it, and turns what goes wrong into a message and an exit code.
package enum Program {
    /// All commands in the order in which help lists them.
    package static let commands: [Command] = [
        UpCommand.command, DownCommand.command, ApplyCommand.command, DeleteCommand.command, GetCommand.command,
        DescribeCommand.command, LogsCommand.command, ExecCommand.command, AttachCommand.command, TopCommand.command,
        ScaleCommand.command, RolloutCommand.command, SetCommand.command, StatCommand.command, TapCommand.command,
        XDSCommand.command, KubeconfigCommand.command, CheckCommand.command, ImageCommand.command,
        BackupCommand.command, RestoreCommand.command,
        VersionCommand.command, ServeEntry.command,
    ]

    /// Runs the one command that is a small process of its own and knows no tasks; nil for all others.
    package static func runAlone(_ words: [String]) -> Int32? {
        guard words.first == NamesCommand.name else { return nil }
        signal(SIGPIPE, SIG_IGN)
        return NamesCommand.run()
    }

    /// Runs the command line without the program's own name.
    package static func run(_ words: [String]) async -> Int32 {
        // A reader that goes away (`weft get pods | head -1`) ends the output, not the process.
        signal(SIGPIPE, SIG_IGN)
        return await execute(words).rawValue
    }

    private static func execute(_ words: [String]) async -> ExitCode {
        guard let name = words.first, !["help", "--help", "-h"].contains(name) else {
            if words.count > 1, let command = commands.first(where: { $0.name == words[1] }) {
                Terminal.print(Help.page(command), terminator: "")
                return .success
            }
            Terminal.print(Help.overview(commands), terminator: "")
            return words.isEmpty ? .usage : .success
        }
        let wanted = name == "--version" ? "version" : name
        guard let command = commands.first(where: { $0.name == wanted }) else {
            let guess =
                Spelling.nearest(to: name, among: commands.map(\.name)).map { " Did you mean 'weft \($0)'?" } ?? ""
            Terminal.complain("'\(name)' is no command of weft.\(guess) See 'weft --help'.")
            return .usage
        }
        do {
            let arguments = try Arguments(Array(words.dropFirst()), for: command)
            guard !arguments.isSet("help") else {
                Terminal.print(Help.page(command), terminator: "")
                return .success
            }
            return try await command.run(arguments)
        } catch let error as UsageError {
            Terminal.complain("\(error.message)\nSee 'weft \(command.name) --help'.")
            return .usage
        } catch {
            Terminal.complain(Messages.text(of: error))
            return .failure
        }
    }
}
