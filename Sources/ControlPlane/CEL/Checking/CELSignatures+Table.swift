extension CELSignatures {
    /// One signature a line; what stands before `;` is the receiver, `A` and `B` are types that the call settles.
    static let text = """
        # operators
        <(bool, bool) bool
        <(number, number) bool
        <(string, string) bool
        <(bytes, bytes) bool
        <(timestamp, timestamp) bool
        <(duration, duration) bool
        +(int, int) int
        +(uint, uint) uint
        +(double, double) double
        +(string, string) string
        +(bytes, bytes) bytes
        +(list<A>, list<A>) list<A>
        +(timestamp, duration) timestamp
        +(duration, timestamp) timestamp
        +(duration, duration) duration
        -(int, int) int
        -(uint, uint) uint
        -(double, double) double
        -(timestamp, timestamp) duration
        -(timestamp, duration) timestamp
        -(duration, duration) duration
        *(int, int) int
        *(uint, uint) uint
        *(double, double) double
        /(int, int) int
        /(uint, uint) uint
        /(double, double) double
        %(int, int) int
        %(uint, uint) uint
        -_(int) int
        -_(double) double
        in(A, list<A>) bool
        in(A, map<A, B>) bool
        # conversions
        bool(bool) bool
        bool(string) bool
        int(int) int
        int(uint) int
        int(double) int
        int(string) int
        int(timestamp) int
        int(duration) int
        uint(uint) uint
        uint(int) uint
        uint(double) uint
        uint(string) uint
        double(double) double
        double(int) double
        double(uint) double
        double(string) double
        string(string) string
        string(bool) string
        string(int) string
        string(uint) string
        string(double) string
        string(bytes) string
        string(timestamp) string
        string(duration) string
        string(ip) string
        string(cidr) string
        bytes(bytes) bytes
        bytes(string) bytes
        timestamp(timestamp) timestamp
        timestamp(string) timestamp
        timestamp(int) timestamp
        duration(duration) duration
        duration(string) duration
        duration(int) duration
        dyn(A) dyn
        type(A) type
        # sizes
        size(string) int
        size(bytes) int
        size(list<A>) int
        size(map<A, B>) int
        size(string;) int
        size(bytes;) int
        size(list<A>;) int
        size(map<A, B>;) int
        # strings
        contains(string; string) bool
        startsWith(string; string) bool
        endsWith(string; string) bool
        matches(string; string) bool
        matches(string, string) bool
        charAt(string; int) string
        indexOf(string; string) int
        indexOf(string; string, int) int
        lastIndexOf(string; string) int
        lastIndexOf(string; string, int) int
        lowerAscii(string;) string
        upperAscii(string;) string
        replace(string; string, string) string
        replace(string; string, string, int) string
        split(string; string) list<string>
        split(string; string, int) list<string>
        substring(string; int) string
        substring(string; int, int) string
        trim(string;) string
        reverse(string;) string
        join(list<string>;) string
        join(list<string>; string) string
        format(string; list<dyn>) string
        strings.quote(string) string
        find(string; string) string
        findAll(string; string) list<string>
        findAll(string; string, int) list<string>
        # lists
        isSorted(list<A>;) bool
        sum(list<A>;) A
        min(list<A>;) A
        max(list<A>;) A
        indexOf(list<A>; A) int
        lastIndexOf(list<A>; A) int
        includes(dyn; dyn) bool
        slice(list<A>; int, int) list<A>
        flatten(list<A>;) list<dyn>
        flatten(list<A>; int) list<dyn>
        sort(list<A>;) list<A>
        distinct(list<A>;) list<A>
        reverse(list<A>;) list<A>
        first(list<A>;) optional<A>
        last(list<A>;) optional<A>
        lists.range(int) list<int>
        sets.contains(list<A>, list<A>) bool
        sets.equivalent(list<A>, list<A>) bool
        sets.intersects(list<A>, list<A>) bool
        # optionals
        optional.of(A) optional<A>
        optional.ofNonZeroValue(A) optional<A>
        optional.none() optional<dyn>
        hasValue(optional<A>;) bool
        value(optional<A>;) A
        or(optional<A>; optional<A>) optional<A>
        orValue(optional<A>; A) A
        optional.unwrap(list<optional<A>>) list<A>
        unwrapOpt(list<optional<A>>;) list<A>
        # times
        getFullYear(timestamp;) int
        getFullYear(timestamp; string) int
        getMonth(timestamp;) int
        getMonth(timestamp; string) int
        getDayOfYear(timestamp;) int
        getDayOfYear(timestamp; string) int
        getDayOfMonth(timestamp;) int
        getDayOfMonth(timestamp; string) int
        getDate(timestamp;) int
        getDate(timestamp; string) int
        getDayOfWeek(timestamp;) int
        getDayOfWeek(timestamp; string) int
        getHours(timestamp;) int
        getHours(timestamp; string) int
        getHours(duration;) int
        getMinutes(timestamp;) int
        getMinutes(timestamp; string) int
        getMinutes(duration;) int
        getSeconds(timestamp;) int
        getSeconds(timestamp; string) int
        getSeconds(duration;) int
        getMilliseconds(timestamp;) int
        getMilliseconds(timestamp; string) int
        getMilliseconds(duration;) int
        # addresses
        ip(string) ip
        isIP(string) bool
        ip.isCanonical(string) bool
        family(ip;) int
        isUnspecified(ip;) bool
        isLoopback(ip;) bool
        isLinkLocalMulticast(ip;) bool
        isLinkLocalUnicast(ip;) bool
        isGlobalUnicast(ip;) bool
        cidr(string) cidr
        isCIDR(string) bool
        containsIP(cidr; string) bool
        containsIP(cidr; ip) bool
        containsCIDR(cidr; string) bool
        containsCIDR(cidr; cidr) bool
        ip(cidr;) ip
        prefixLength(cidr;) int
        masked(cidr;) cidr
        url(string) url
        isURL(string) bool
        getScheme(url;) string
        getHost(url;) string
        getHostname(url;) string
        getPort(url;) string
        getEscapedPath(url;) string
        getQuery(url;) map<string, list<string>>
        # quantities and versions
        quantity(string) quantity
        isQuantity(string) bool
        sign(quantity;) int
        isGreaterThan(quantity; quantity) bool
        isLessThan(quantity; quantity) bool
        compareTo(quantity; quantity) int
        asApproximateFloat(quantity;) double
        asInteger(quantity;) int
        isInteger(quantity;) bool
        add(quantity; quantity) quantity
        add(quantity; int) quantity
        sub(quantity; quantity) quantity
        sub(quantity; int) quantity
        semver(string) semver
        semver(string, bool) semver
        isSemver(string) bool
        isSemver(string, bool) bool
        isGreaterThan(semver; semver) bool
        isLessThan(semver; semver) bool
        compareTo(semver; semver) int
        major(semver;) int
        minor(semver;) int
        patch(semver;) int
        # formats
        format.named(string) optional<format>
        validate(format; string) optional<list<string>>
        format.dns1123Label() format
        format.dns1123Subdomain() format
        format.dns1035Label() format
        format.qualifiedName() format
        format.dns1123LabelPrefix() format
        format.dns1123SubdomainPrefix() format
        format.dns1035LabelPrefix() format
        format.labelValue() format
        format.uri() format
        format.uuid() format
        format.byte() format
        format.date() format
        format.datetime() format
        # authorization
        path(authorizer; string) pathCheck
        group(authorizer; string) groupCheck
        serviceAccount(authorizer; string, string) authorizer
        resource(groupCheck; string) resourceCheck
        subresource(resourceCheck; string) resourceCheck
        namespace(resourceCheck; string) resourceCheck
        name(resourceCheck; string) resourceCheck
        fieldSelector(resourceCheck; string) resourceCheck
        labelSelector(resourceCheck; string) resourceCheck
        check(pathCheck; string) decision
        check(resourceCheck; string) decision
        allowed(decision;) bool
        errored(decision;) bool
        error(decision;) string
        reason(decision;) string
        """
}
