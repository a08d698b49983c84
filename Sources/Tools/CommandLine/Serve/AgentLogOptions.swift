import Agent

/// The agent's options of a log, told from the API's of the same name.
typealias AgentLogOptions = PodLogOptions
