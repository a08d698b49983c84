"""Clusters whose endpoints are host names: every answer a name server can give, from a server made here."""

import http.client
import json
import time

from dnskit import A, AAAA, NXDOMAIN, SERVFAIL, NameServer, a, aaaa, cname
from proxykit import Origin, Proxy, cluster, endpoint, free_port, http_filter, listener, route, serving

CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"


def resolver(server, **more):
    return {"typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": {
        "@type": CARES, "resolvers": [server.address], "dns_resolver_options": {"no_default_search_domain": True},
        **more}}}


def named(name, server, port=80, host=None, kind="STRICT_DNS", **more):
    return {**cluster(name, endpoint(port, host or f"{name}.test"), **resolver(server, **more.pop("cares", {}))),
            "type": kind, "dns_lookup_family": "V4_ONLY", **more}


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def addresses(proxy, name):
    rows = json.loads(proxy.admin("/clusters?format=json"))["cluster_statuses"]
    hosts = next(row for row in rows if row["name"] == name).get("host_statuses", [])
    return sorted(host["address"]["socket_address"]["address"] for host in hosts)


def until(condition, deadline=10):
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition was never fulfilled"
        time.sleep(0.01)


def stats(proxy, name):
    lines = proxy.admin(f"/stats?filter=cluster.{name}.update").splitlines()
    return {line.split(":")[0].rsplit(".", 1)[1]: int(line.split(":")[1]) for line in lines}


def test_each_answer_has_its_effect():
    thousand = [f"10.{i // 250}.1.{i % 250 + 1}" for i in range(1100)]

    def answers(name, kind, transport):
        if name in ("chain.test", "one.test", "both.test", "four.test") or kind == A:
            match name:
                case "plain.test": return [a(name, "10.0.0.2"), a(name, "10.0.0.1"), a(name, "10.0.0.2")]
                case "chain.test": return [cname(name, "b.test"), cname("b.test", "c.test"), a("c.test", "10.0.0.3")]
                case "many.test": return [a(name, address) for address in thousand]
                case "broken.test": return SERVFAIL
                case "garbage.test": return b"\xff" * 40
                case "both.test": return [a(name, "10.0.0.4")] if kind == A else [aaaa(name, "fd00::4")]
                case "six.test": return []
                case "logical.test": return [a(name, "10.0.0.9"), a(name, "10.0.0.8")]
        if name == "six.test" and kind == AAAA:
            return [aaaa(name, "fd00::6")]
        return NXDOMAIN

    with NameServer(answers) as server:
        quick = {"query_timeout_seconds": 1, "query_tries": 1}
        clusters = [
            named("plain", server, dns_refresh_rate="300s"), named("chain", server), named("many", server), named("absent", server),
            named("broken", server), named("garbage", server, wait_for_warm_on_init=False, cares=quick),
            named("both", server, dns_lookup_family="ALL"), named("six", server, dns_lookup_family="AUTO"),
            named("logical", server, kind="LOGICAL_DNS"), named("hosts", server, host="localhost"),
        ]
        with Proxy([], clusters) as proxy:
            assert addresses(proxy, "plain") == ["10.0.0.1", "10.0.0.2"]
            assert addresses(proxy, "chain") == ["10.0.0.3"]
            assert addresses(proxy, "many") == sorted(thousand[:1024]), "limited, and over TCP after a cut answer"
            assert addresses(proxy, "absent") == [] and addresses(proxy, "broken") == []
            assert addresses(proxy, "both") == ["10.0.0.4", "fd00::4"]
            assert addresses(proxy, "six") == ["fd00::6"]
            assert addresses(proxy, "logical") == ["10.0.0.9"], "the first of the answer"
            assert addresses(proxy, "hosts") == ["127.0.0.1"]
            assert ("many.test", A, "tcp") in server.asked
            assert not any(name == "localhost" for name, _, _ in server.asked), "the hosts file comes first"
            assert stats(proxy, "plain") == {
                "update_attempt": 1, "update_success": 1, "update_failure": 0, "update_empty": 0}
            assert stats(proxy, "absent")["update_empty"] == 1
            assert stats(proxy, "broken")["update_failure"] >= 1
            assert stats(proxy, "garbage")["update_success"] == 0


def test_addresses_follow_the_answers_and_survive_failures():
    now = {"answer": lambda name: [a(name, "127.0.0.1", ttl=0)]}
    with NameServer(lambda name, kind, transport: now["answer"](name)) as server, Origin(serving(b"here")) as origin:
        port = free_port()
        clusters = [named("live", server, port=origin.port, dns_refresh_rate="0.05s")]
        with Proxy([listener(port, http_filter([route("live")]))], clusters) as proxy:
            assert ask(port, "/")[0] == 200
            now["answer"] = lambda name: SERVFAIL
            until(lambda: stats(proxy, "live")["update_failure"] > 1)
            assert ask(port, "/")[0] == 200, "the last good addresses stay"
            now["answer"] = lambda name: [a(name, "127.0.0.1"), a(name, "127.0.0.2")]
            until(lambda: addresses(proxy, "live") == ["127.0.0.1", "127.0.0.2"])
            now["answer"] = lambda name: NXDOMAIN
            until(lambda: addresses(proxy, "live") == [])
            assert ask(port, "/")[0] == 503, "a name that is gone has no endpoints"
            now["answer"] = lambda name: [a(name, "127.0.0.1")]
            until(lambda: addresses(proxy, "live") == ["127.0.0.1"])
            assert ask(port, "/")[0] == 200


def test_a_time_to_live_counts_where_it_is_respected():
    answers = {"long.test": 3600, "short.test": 1}
    with NameServer(lambda name, kind, transport: [a(name, "127.0.0.1", ttl=answers[name])]) as server:
        clusters = [named("long", server, dns_refresh_rate="0.05s", respect_dns_ttl=True),
                    named("short", server, dns_refresh_rate="3600s", respect_dns_ttl=True)]
        with Proxy([], clusters):
            server.wait_for(lambda asked: sum(name == "short.test" for name, _, _ in asked) >= 2)
            assert sum(name == "long.test" for name, _, _ in server.asked) == 1


def test_a_silent_name_server_keeps_nobody_waiting():
    with NameServer(lambda name, kind, transport: None) as server, Origin(serving(b"here")) as origin:
        port = free_port()
        clusters = [cluster("origin", origin.port), named("silent", server, wait_for_warm_on_init=False)]
        with Proxy([listener(port, http_filter([route()]))], clusters) as proxy:
            server.wait_for(lambda asked: len(asked) >= 1)
            assert ask(port, "/")[0] == 200
            assert proxy.admin("/stats?filter=dns.cares.pending_resolutions").strip().endswith(": 1")
