import Glibc
import Images
import Testing

@Suite struct LayerUnpackerTests {
    /// Unpacks layers one above the other into `0`, `1`, ... of a folder; without privileges, so that any user can run it.
    @discardableResult
    private func unpack(
        _ tars: [TarText],
        in folder: Folder,
        limits: LayerLimits = LayerLimits()
    ) throws -> [LayerUnpacker.Outcome] {
        var lower: [(directory: String, whiteouts: Whiteouts)] = []
        var outcomes: [LayerUnpacker.Outcome] = []
        for (number, tar) in tars.enumerated() {
            let directory = try folder.make("\(number)")
            var unpacker = try LayerUnpacker(
                into: directory,
                above: lower,
                form: .none,
                isPrivileged: false,
                limits: limits
            )
            let source = try LayerReader(try folder.put(tar.whole, "\(number).tar"), limits: limits)
            let outcome = try unpacker.unpack(source)
            #expect(outcome.plain == Digest(of: tar.whole))
            #expect(outcome.packed == outcome.plain)
            lower.append((directory, outcome.whiteouts))
            outcomes.append(outcome)
        }
        return outcomes
    }

    @Test func filesDirectoriesAndLinksAreAsTheTarSays() throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add("./", "5", mode: 0o755)
        tar.add("./etc/", "5", mode: 0o711)
        tar.add("./etc/motd", "0", Array("hello".utf8), mode: 0o640)
        tar.add("etc/again", "1", link: "./etc/motd")
        tar.add("bin", "2", link: "usr/bin")
        tar.add("bin/run", "0", Array("x".utf8), mode: 0o4755)
        tar.add("pipe", "6")
        let outcome = try unpack([tar], in: folder)[0]
        #expect(folder.look("0/etc/motd") == "file:hello")
        #expect(folder.look("0/etc/again") == "file:hello")
        #expect(folder.look("0/bin") == "link:usr/bin")
        // Through the link, inside the image.
        #expect(folder.look("0/usr/bin/run") == "file:x")
        #expect(folder.mode("0/usr/bin/run") == 0o4755)
        #expect(folder.mode("0/etc/motd") == 0o640)
        #expect(folder.mode("0/etc") == 0o711)
        #expect(folder.look("0/pipe") == "pipe")
        #expect(outcome.size == 6)
    }

    @Test(arguments: ["../evil", "a/../../evil", "/../evil", "a/b/../../../evil"])
    func aPathThatLeadsOutIsRefused(path: String) throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add(path, "0", Array("x".utf8))
        let error = #expect(throws: ImageError.self) { try unpack([tar], in: folder) }
        #expect(try #require(error).message.contains("leads out"))
        #expect(folder.look("evil") == nil)
    }

    @Test func absoluteNamesLieInsideTheImage() throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add("//etc//passwd", "0", Array("x".utf8))
        try unpack([tar], in: folder)
        #expect(folder.look("0/etc/passwd") == "file:x")
    }

    @Test func linksLeadNowhereOutside() throws {
        let folder = try Folder()
        _ = try folder.make("outside")
        var tar = TarText()
        tar.add("up", "2", link: "../outside")
        tar.add("up/a", "0", Array("1".utf8))
        tar.add("far", "2", link: "\(folder.path)/outside")
        tar.add("far/b", "0", Array("2".utf8))
        tar.add("d/", "5")
        tar.add("d/x/", "5", mode: 0o700)
        // What was a directory becomes a link: its mode and time are not set through it.
        tar.add("d", "2", link: "../outside")
        tar.add("d/c", "0", Array("3".utf8))
        try unpack([tar], in: folder)
        for name in ["a", "b", "c", "x"] { #expect(folder.look("outside/\(name)") == nil) }
        #expect(folder.mode("outside") == 0o755)
        #expect(folder.look("0/outside/a") == "file:1")
        #expect(folder.look("0/\(folder.path)/outside/b") == "file:2")
        #expect(folder.look("0/outside/c") == "file:3")
    }

    @Test func aCircleOfLinksEnds() throws {
        var tar = TarText()
        tar.add("a", "2", link: "b")
        tar.add("b", "2", link: "a")
        tar.add("a/c", "0")
        let folder = try Folder()
        let error = #expect(throws: ImageError.self) { try unpack([tar], in: folder) }
        #expect(try #require(error).message.contains("circle"))
    }

    @Test(arguments: ["../../etc/passwd", "/etc/passwd", "nowhere"])
    func hardLinksOutOfTheImageAreRefused(target: String) throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add("h", "1", link: target)
        #expect(throws: ImageError.self) { try unpack([tar], in: folder) }
        #expect(folder.look("0/h") == nil)
    }

    @Test func aHardLinkToALinkDoesNotFollowIt() throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add("s", "2", link: "/etc/passwd")
        tar.add("h", "1", link: "s")
        try unpack([tar], in: folder)
        #expect(folder.look("0/h") == "link:/etc/passwd")
    }

    @Test func devicesAndMarksOfOverlaysAreLeftOut() throws {
        let folder = try Folder()
        var tar = TarText()
        tar.add("null", "3", device: (1, 3))
        tar.add("mark", "3", device: (0, 0))
        tar.add("disk", "4", device: (8, 0))
        tar.pax([
            ("SCHILY.xattr.trusted.overlay.redirect", Array("/etc".utf8)), ("SCHILY.xattr.user.overlay.opaque", [0x79]),
        ])
        tar.add("f", "0")
        let outcome = try unpack([tar], in: folder)[0]
        for name in ["null", "mark", "disk"] { #expect(folder.look("0/\(name)") == nil) }
        #expect(folder.look("0/f") == "file:")
        #expect(outcome.skipped == 5)
    }

    @Test func whiteoutsHideWhatLiesBelow() throws {
        let folder = try Folder()
        var first = TarText()
        for name in ["gone", "dir/a", "dir/b", "again/old", "kept", "own/x"] { first.add(name, "0", Array("1".utf8)) }
        var second = TarText()
        second.add(".wh.gone", "0")
        second.add("dir/.wh.a", "0")
        second.add(".wh.again", "0")
        second.add("again/", "5")
        second.add("again/new", "0", Array("2".utf8))
        second.add("own/", "5")
        second.add("own/y", "0", Array("2".utf8))
        second.add("own/.wh..wh..opq", "0")
        second.add(".wh..wh.plnk", "5")
        second.add("kept", "0", Array("2".utf8))
        second.add(".wh.kept", "0")
        let outcome = try unpack([first, second], in: folder)[1]
        func names(_ set: Set<[UInt8]>) -> [String] { set.map { String(decoding: $0, as: UTF8.self) }.sorted() }
        #expect(names(outcome.whiteouts.removed) == ["dir/a", "gone"])
        #expect(names(outcome.whiteouts.opaque) == ["again", "own"])
        // A whiteout is for layers below, not for its own.
        #expect(folder.look("1/kept") == "file:2")
        #expect(folder.look("1/dir") == "directory")
        #expect(folder.look("1/.wh.gone") == nil)
        #expect(Whiteouts(outcome.whiteouts.bytes) == outcome.whiteouts)
    }

    @Test func namesBelowAreFoundWhereTheyAreShown() throws {
        let folder = try Folder()
        var first = TarText()
        first.add("usr/lib/", "5", mode: 0o750)
        first.add("lib", "2", link: "usr/lib")
        first.add("tmp/", "5", mode: 0o1777)
        first.add("usr/file", "0", Array("below".utf8), mode: 0o600)
        var second = TarText()
        // No entry of the tar makes these directories.
        second.add("lib/new", "0", Array("n".utf8))
        second.add("tmp/t", "0")
        second.add("second", "1", link: "usr/file")
        second.add(".wh.usr", "0")
        var third = TarText()
        third.add("usr/again", "0")
        third.add("x", "1", link: "second")
        try unpack([first, second], in: folder)
        #expect(folder.look("1/usr/lib/new") == "file:n")
        #expect(folder.look("1/lib") == nil)
        #expect(folder.mode("1/tmp") == 0o1777)
        #expect(folder.mode("1/usr/lib") == 0o750)
        #expect(folder.look("1/second") == "file:below")
        #expect(folder.mode("1/usr/file") == 0o600)
    }

    @Test func longNamesTimesAndOwnersOfExtensions() throws {
        let folder = try Folder()
        let long = (0..<20).map { "part-\($0)-of-a-long-path" }.joined(separator: "/")
        var tar = TarText()
        tar.pax([("path", Array("\(long)/pax".utf8)), ("mtime", Array("1700000000.5".utf8))])
        tar.add("short", "0", Array("p".utf8))
        tar.add("././@LongLink", "L", Array("\(long)/gnu\0".utf8))
        tar.add("short", "0", Array("g".utf8))
        tar.add("././@LongLink", "K", Array("\(long)/pax\0".utf8))
        tar.add("link", "2", link: "short")
        try unpack([tar], in: folder)
        #expect(folder.look("0/\(long)/pax") == "file:p")
        #expect(folder.look("0/\(long)/gnu") == "file:g")
        #expect(folder.look("0/link") == "link:\(long)/pax")
        var facts = stat()
        #expect(stat("\(folder.path)/0/\(long)/pax", &facts) == 0)
        #expect(facts.st_mtim.tv_sec == 1_700_000_000)
        #expect(facts.st_mtim.tv_nsec == 500_000_000)
    }

    @Test func holesStayHoles() throws {
        let folder = try Folder()
        var tar = TarText()
        // Version 1.0: the map stands before the content.
        var map = Array("2\n0\n2\n6\n2\n".utf8)
        map += [UInt8](repeating: 0, count: 512 - map.count)
        tar.pax([
            ("GNU.sparse.major", Array("1".utf8)), ("GNU.sparse.minor", Array("0".utf8)),
            ("GNU.sparse.name", Array("one".utf8)), ("GNU.sparse.realsize", Array("10".utf8)),
        ])
        tar.add("GNUSparseFile/one", "0", map + Array("abcd".utf8))
        tar.pax([
            ("GNU.sparse.map", Array("1,2".utf8)), ("GNU.sparse.size", Array("4".utf8)),
            ("GNU.sparse.name", Array("two".utf8)),
        ])
        tar.add("GNUSparseFile/two", "0", Array("xy".utf8))
        tar.add("after", "0", Array("z".utf8))
        try unpack([tar], in: folder)
        #expect(folder.look("0/one") == "file:ab\0\0\0\0cd\0\0")
        #expect(folder.look("0/two") == "file:\0xy\0")
        #expect(folder.look("0/after") == "file:z")
    }

    @Test(arguments: [
        ("1,2,0,1", "4"), ("0,9", "4"), ("0", "4"), ("0,1", "4"), ("0,2", "-1"), ("9223372036854775807,2", "4"),
    ]) func mapsOfHolesThatLieAreRefused(map: String, size: String) throws {
        let folder = try Folder()
        var tar = TarText()
        tar.pax([("GNU.sparse.map", Array(map.utf8)), ("GNU.sparse.size", Array(size.utf8))])
        tar.add("f", "0", Array("xy".utf8))
        #expect(throws: ImageError.self) { try unpack([tar], in: folder) }
    }

    @Test func whatIsNoTarIsRefused() throws {
        let folder = try Folder()
        var cut = TarText()
        cut.add("f", "0", [], size: 4000)
        #expect(throws: ImageError.self) { try unpack([cut], in: folder) }
        let source = try LayerReader(try folder.put([UInt8](repeating: 7, count: 2048), "x"))
        var reader = TarReader(source)
        #expect(throws: ImageError.self) { try reader.next() }
        var huge = TarText()
        huge.add("x", "x", [], size: 1 << 30)
        let other = try Folder()
        #expect(throws: ImageError.self) { try unpack([huge], in: other) }
    }

    @Test func boundsHold() throws {
        var limits = LayerLimits()
        limits.entries = 3
        var tar = TarText()
        for number in 0..<4 { tar.add("f\(number)", "0") }
        let many = try Folder()
        let error = #expect(throws: ImageError.self) { try unpack([tar], in: many, limits: limits) }
        #expect(try #require(error).message.contains("3 entries"))
        limits = LayerLimits()
        limits.bytes = 10_000
        var large = TarText()
        large.add("f", "0", [UInt8](repeating: 1, count: 20_000))
        let big = try Folder()
        #expect(throws: ImageError.self) { try unpack([large], in: big, limits: limits) }
        var deep = TarText()
        deep.pax([("path", Array((0..<600).map { _ in "d" }.joined(separator: "/").utf8))])
        deep.add("f", "0")
        let nested = try Folder()
        #expect(throws: ImageError.self) { try unpack([deep], in: nested) }
    }
}
