import CEL
import Testing

@Suite struct LanguageTests {
    @Test(arguments: [
        "1 + 2 * 3 == 7", "-7 / 2 == -3", "-7 % 2 == -1", "1u + 2u == 3u", "0x1F == 31",
        "'a' + \"b\" == 'ab'", "1.5 + 1.5 == 3.0", "true || false && false", "!(1 == 2)",
    ])
    func operatorsHaveCELsMeaning(_ source: String) throws { #expect(try holds(source)) }
}
