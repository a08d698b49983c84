/// Every function by its name in expressions.
enum CELFunction: String, Sendable, CaseIterable {
    case negate = "-_"
    case bool, int, uint, double, string, bytes, timestamp, duration, dyn, type, size
    case contains, startsWith, endsWith, matches, charAt, indexOf, lastIndexOf, lowerAscii, upperAscii, replace, split
    case substring, trim, reverse, join, format, find, findAll
    case quote = "strings.quote"
    case isSorted, sum, min, max, includes, slice, flatten, sort, distinct, first, last
    case range = "lists.range"
    case setsContains = "sets.contains"
    case setsEquivalent = "sets.equivalent"
    case setsIntersects = "sets.intersects"
    case optionalOf = "optional.of"
    case optionalOfNonZero = "optional.ofNonZeroValue"
    case optionalNone = "optional.none"
    case optionalUnwrap = "optional.unwrap"
    case unwrapOpt, hasValue, value
    case or
    case orValue
    case getFullYear, getMonth, getDayOfYear, getDayOfMonth, getDate, getDayOfWeek, getHours, getMinutes, getSeconds
    case getMilliseconds
    case ip, isIP, family, isUnspecified, isLoopback, isLinkLocalMulticast, isLinkLocalUnicast, isGlobalUnicast
    case isCanonical = "ip.isCanonical"
    case cidr, isCIDR, containsIP, containsCIDR, prefixLength, masked
    case url, isURL, getScheme, getHost, getHostname, getPort, getEscapedPath, getQuery
    case quantity, isQuantity, sign, isGreaterThan, isLessThan, compareTo, asApproximateFloat, asInteger, isInteger
    case add, sub
    case semver, isSemver, major, minor, patch
    case namedFormat = "format.named"
    case validate
    case dns1123Label = "format.dns1123Label"
    case dns1123Subdomain = "format.dns1123Subdomain"
    case dns1035Label = "format.dns1035Label"
    case qualifiedName = "format.qualifiedName"
    case dns1123LabelPrefix = "format.dns1123LabelPrefix"
    case dns1123SubdomainPrefix = "format.dns1123SubdomainPrefix"
    case dns1035LabelPrefix = "format.dns1035LabelPrefix"
    case labelValue = "format.labelValue"
    case uri = "format.uri"
    case uuid = "format.uuid"
    case byte = "format.byte"
    case date = "format.date"
    case datetime = "format.datetime"
    case path, group, serviceAccount, resource, subresource, namespace, name, fieldSelector, labelSelector, check
    case allowed, errored, error, reason
}
