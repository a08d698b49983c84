import CommandLine
import Glibc

let words = Array(Swift.CommandLine.arguments.dropFirst())
// Before the first task: a process that needs none is to have no threads for them.
if let code = Program.runAlone(words) { exit(code) }
exit(await Program.run(words))
