enum ServeCommand { static func run(_ words: [String]) async -> Int32 { 0 } }
