import Telemetry
import Testing

@testable import Proxy

@Suite("Series of routes")
struct SeriesTests {
    @Test("a name keeps its number as long as it is held; then the number goes to another one, with another stamp")
    func numbers() {
        let book = SeriesBook<String>(limit: 2, other: "others")
        let a = book.acquire("a")
        let b = book.acquire("b")
        #expect(Set([a, b]) == [1, 2])
        #expect(book.acquire("a") == a)
        #expect(book.acquire("c") == 0)
        let before = book.stamps
        book.release("a")
        #expect(book.names == ["others", "a", "b"])
        book.release("a")
        book.release("unknown")
        #expect(book.names[Int(a)] == nil)
        #expect(book.acquire("c") == a)
        let after = book.stamps
        #expect(!after.agrees(with: before, on: Int(a)))
        #expect(after.agrees(with: before, on: Int(b)))
        #expect(!after.agrees(with: SeriesStamps(), on: 1))
        #expect(book.count == 2)
        book.setLimit(3)
        #expect(book.acquire("d") == 3)
    }

    @Test("a lease gives back what its table held when it goes")
    func lease() {
        let series = RouteSeries()
        let shop = RouteName(host: "shop", route: "cart")
        var first: SeriesLease? = SeriesLease(series)
        let second = SeriesLease(series)
        let number = first?.route(shop)
        #expect(number == 1)
        #expect(second.route(shop) == 1)
        #expect(first?.counted("vhost.shop.route.cart") == 1)
        first = nil
        #expect(series.routes.count == 1)
        #expect(series.counted.count == 0)
        withExtendedLifetime(second) {}
    }

    @Test("statuses that are too many to be told apart are counted together")
    func statuses() {
        var cell = RouteCell()
        for status in 200..<210 { cell.count(status: UInt16(status), isFailure: false, tries: 2, time: 1_000_000) }
        cell.count(status: 0, isFailure: true, tries: 0, time: 1)
        #expect(cell.requests == 11)
        #expect(cell.tries == 21)
        #expect(cell.responses.count == 8)
        #expect(cell.responses.reduce(0) { $0 + $1.count } == 11)
        let other = cell.responses.first { $0.status == "other" }
        #expect(other?.count == 4)
        var sum = RouteCell()
        sum.add(cell)
        sum.add(cell)
        #expect(sum.responses.first { $0.status == "200" }?.count == 2)
        #expect(sum.responses.first { $0.status == "other" }?.count == 8)
        #expect(sum.latency.count == 22)
    }
}
