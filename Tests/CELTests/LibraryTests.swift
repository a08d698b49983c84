import CEL
import Testing

@Suite struct LibraryTests {
    @Test(arguments: [
        "'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo')", "'hello'.charAt(1) == 'e'",
        "'héllo'.indexOf('l') == 2 && 'héllo'.lastIndexOf('l') == 3 && 'a'.indexOf('b') == -1",
        "'ABÉ'.lowerAscii() == 'abÉ'",
        "'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '', 1) == 'ab-c' && 'ab'.replace('', '-') == '-a-b-'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']",
        "['a', 'b'].join('-') == 'a-b' && 'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        "'  x \\t'.trim() == 'x'", "'abc'.reverse() == 'cba'",
        "'%s has %d, %.2f, %x'.format(['a', 3, 2.345, 255]) == 'a has 3, 2.35, ff'",
        "'%.3e'.format([1052.032911275]) == '1.052e+03' && '%s'.format([{'b': [1.5, 2.5]}]) == '{b: [1.5, 2.5]}'",
        "'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1']",
        "'foo'.matches('^f.o$') && matches('xfoox', 'o{2}') && !'foo'.matches('^o')",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
    ])
    func texts(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "[1, 2, 3].isSorted() && !['b', 'a'].isSorted()", "[1, 2, 3].sum() == 6 && [1.5].sum() == 1.5 && [].sum() == 0",
        "[3, 1, 2].min() == 1 && ['a', 'c'].max() == 'c'", "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 2, 2], [2, 1]) && !sets.intersects([1], [2])",
        "[3, 1, 2].sort() == [1, 2, 3] && [1, 1, 2].distinct() == [1, 2] && [1, 2, 3].slice(1, 2) == [2]",
        "[[[1]], [[2, 3]]].flatten() == [[1], [2, 3]] && [[[1]], [[2]]].flatten(2) == [1, 2]",
        "[duration('1s'), duration('2s')].sum() == duration('3s')",
    ])
    func lists(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "isIP('10.0.0.1') && isIP('::1') && !isIP('10.0.0.01') && !isIP('::ffff:1.2.3.4') && !isIP('1.2.3')",
        "ip('fe80::1').isLinkLocalUnicast() && ip('127.0.0.1').isLoopback() && ip('::').isUnspecified() && ip('8.8.8.8').isGlobalUnicast()",
        "string(ip('2001:db8:0:0:1:0:0:1')) == '2001:db8::1:0:0:1' && ip('::1').family() == 6 && !ip.isCanonical('2001:DB8::1')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP('11.0.0.1') && isCIDR('::/0') && !isCIDR('10.0.0.0/33')",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').prefixLength() == 8",
        "url('https://u@example.com:80/a%20b?x=1&x=2').getHost() == 'example.com:80' && url('https://[::1]:80/').getHostname() == '::1'",
        "url('/p?q=1&q=2').getQuery() == {'q': ['1', '2']} && url('https://a/b').getEscapedPath() == '/b' && !isURL('a b') && !isURL('../x')",
        "url('https://a:8/').getPort() == '8' && url('https://a/').getScheme() == 'https' && !isURL('https://a:x/')",
    ])
    func addresses(_ source: String) throws { #expect(try holds(source)) }

    @Test(arguments: [
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').compareTo(quantity('0.5')) == 0 && !isQuantity('x')",
        "quantity('1').add(quantity('500m')).sub(1) == quantity('500m') && quantity('-1').sign() == -1 && quantity('2k').asInteger() == 2000",
        "!quantity('50m').isInteger() && quantity('50m').asApproximateFloat() == 0.05",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && !isSemver('1.2') && isSemver('v1.2', true)",
        "!format.dns1123Label().validate('a-b').hasValue() && format.dns1123Label().validate('A').value().size() == 1",
        "format.named('uuid').value().validate('x').hasValue() && !format.named('none').hasValue() && !format.date().validate('2024-02-29').hasValue()",
        "!format.qualifiedName().validate('example.com/a').hasValue() && format.labelValue().validate('-').hasValue() && format.byte().validate('@').hasValue()",
    ])
    func amountsAndFormats(_ source: String) throws { #expect(try holds(source)) }
}
