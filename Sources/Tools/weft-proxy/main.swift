import Glibc
import Proxy

exit(ProxyProgram.run(Array(CommandLine.arguments.dropFirst())))
