import Controllers
import Resources
import Testing
import Wire

@Suite("Template hash")
struct TemplateHashTests {
    @Test("neither the order of fields nor nulls change the name")
    func stable() {
        let first: Value = ["spec": ["containers": [["name": "web", "image": "shop"]], "volumes": nil]]
        let second: Value = ["spec": ["containers": [["image": "shop", "name": "web"]]]]
        #expect(TemplateHash(first) == TemplateHash(second))
        #expect(TemplateHash(first).text.utf8.count == 9)
    }

    @Test("any change, and a collision, give another name")
    func differs() {
        let base: Value = ["a": ["b", "c"]]
        let others: [Value] = [["a": ["c", "b"]], ["a": ["b"], "c": []], ["a": "bc"], ["a": ["b", "c", nil]], [:]]
        for other in others { #expect(TemplateHash(base) != TemplateHash(other)) }
        #expect(TemplateHash(base) != TemplateHash(base, collisions: 1))
    }
}

@Suite("Work queue")
struct WorkQueueTests {
    @Test("a key named often is worked on once")
    func once() {
        var queue = WorkQueue<String>()
        for _ in 0..<5 { queue.add("a") }
        queue.add("b")
        #expect(queue.take(now: 0) == "a")
        #expect(queue.take(now: 0) == "b")
        #expect(queue.take(now: 0) == nil)
    }

    @Test("a key named during its work comes back when the work is done")
    func dirty() {
        var queue = WorkQueue<String>()
        queue.add("a")
        #expect(queue.take(now: 0) == "a")
        queue.add("a")
        #expect(queue.take(now: 0) == nil)
        queue.succeeded("a")
        #expect(queue.take(now: 0) == "a")
    }

    @Test("failures back off and double, success forgets them")
    func backOff() {
        var queue = WorkQueue<String>()
        queue.add("a")
        var now = 0
        for wait in [5, 10, 20, 40] {
            #expect(queue.take(now: now) == "a")
            queue.failed("a", now: now)
            #expect(queue.nextDue == now + wait)
            #expect(queue.take(now: now + wait - 1) == nil)
            now += wait
        }
        #expect(queue.take(now: now) == "a")
        queue.succeeded("a")
        #expect(queue.failureCount("a") == 0)
        #expect(queue.isEmpty)
    }

    @Test("the wait never passes its longest, however often it fails")
    func longest() {
        var queue = WorkQueue<Int>()
        queue.add(1)
        var now = 0
        for _ in 0..<100 {
            #expect(queue.take(now: now) == 1)
            queue.failed(1, now: now)
            let due = queue.nextDue ?? -1
            #expect(due - now <= WorkQueue<Int>.longestBackOff)
            now = due
        }
    }

    @Test("an earlier time that was already set stays; naming it now wins over all")
    func delays() {
        var queue = WorkQueue<Int>()
        queue.add(1, at: 50)
        queue.add(1, at: 90)
        #expect(queue.nextDue == 50)
        queue.add(1)
        #expect(queue.take(now: 0) == 1)
        #expect(queue.nextDue == nil)
    }
}

@Suite("Number pool")
struct NumberPoolTests {
    @Test("the lowest free number is handed out, a freed one again")
    func lowest() {
        var pool = NumberPool(3...5)
        #expect([4, 4, 6].map { pool.take($0) } == [true, false, false])
        #expect(pool.takeAny() == 3)
        #expect(pool.takeAny() == 5)
        #expect(pool.takeAny() == nil)
        pool.free(3)
        #expect(pool.takeAny() == 3)
    }

    @Test("addresses of load balancers are numbers below 127.10.0.0/16")
    func addresses() {
        let addresses = LoadBalancerAddresses()
        #expect(addresses.address(of: 1) == "127.10.0.1")
        #expect(addresses.address(of: 300) == "127.10.1.44")
        #expect(addresses.number(of: "127.10.1.44") == 300)
        for wrong in ["127.10.0.0", "127.10.255.255", "127.11.0.1", "127.10.0", "127.10.0.256", "x"] {
            #expect(addresses.number(of: wrong) == nil)
        }
        #expect(LoadBalancerAddresses(block: 11).number(of: "127.11.0.1") == 1)
    }
}

@Suite("Ports of the host")
struct HostPortRulesTests {
    @Test("a port that may not be had is served 8000 higher, past the Service's own ports")
    func moves() {
        var service = Object(ResourceTypes.services, namespace: "default", name: "web")
        service.spec = ["ports": [["port": 80], ["port": 8080], ["port": 443]]]
        #expect(HostPortRules().moved(service).isEmpty)
        #expect(HostPortRules(lowest: 1024).moved(service) == [80: 8081, 443: 8443])
    }

    @Test("listeners that could not be opened are read from the proxy's page")
    func listenerErrors() {
        let page = """
            ingress::127.0.0.1:80
            lb/default/web/80::127.10.0.1:80::error listen on 127.10.0.1:80: Permission denied
            odd::error
            """
        #expect(
            ListenerErrors(page).errors == ["lb/default/web/80": "listen on 127.10.0.1:80: Permission denied"]
        )
    }
}
