import CEL
import Resources
import Testing
import Wire

/// Compiles an expression without variables and evaluates it.
func evaluate(_ source: String, _ variables: [(String, Value)] = [], isStrict: Bool = true) throws -> CELValue {
    let environment = CELEnvironment(variables.map { ($0.0, .dyn) }, isHomogeneous: isStrict)
    let program = try CELProgram.compile(source, environment)
    var budget = CELBudget()
    return try program.evaluate(variables.map { CELValue(plain: $0.1) }, budget: &budget)
}

/// Whether an expression is true.
func holds(_ source: String, _ variables: [(String, Value)] = []) throws -> Bool {
    try #require(evaluate(source, variables).boolValue as Bool?)
}

/// What is wrong with an expression, when it is compiled or when it runs.
func problem(_ source: String, _ variables: [(String, Value)] = []) -> String? {
    do {
        _ = try evaluate(source, variables)
        return nil
    } catch let error as CELError {
        return error.message
    } catch let error as CELFailure {
        return error.message
    } catch {
        return nil
    }
}

/// The first document of YAML.
func yaml(_ text: String) throws -> Value { try #require(try YAML.parse(Array(text.utf8)).first).value }
