"""What routes of an Envoy configuration match and make of a request, with the real program (and Envoy, where it is there)."""

import json
import subprocess

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, free_port, http_filter, listener

YES = {"direct_response": {"status": 200, "body": {"inline_string": "yes"}}}


def direct(match, text):
    return {"match": match, "direct_response": {"status": 200, "body": {"inline_string": text}}}


def regex(text):
    return {"safe_regex": {"regex": text}}


ROUTES = [
    direct({"prefix": "/cookie", "cookies": [{"name": "user", "string_match": regex("[0-9]+")}]}, "user"),
    direct({"prefix": "/cookie", "cookies": [
        {"name": "user", "string_match": {"exact": "root"}, "invert_match": True}]}, "not root"),
    direct({"prefix": "/header", "headers": [{"name": "x-a", "string_match": regex("a+b?")}]}, "header"),
    direct({"prefix": "/header", "headers": [{"name": "x-old", "safe_regex_match": {"regex": "o.d"}}]}, "old"),
    direct({"prefix": "/query", "query_parameters": [{"name": "id", "string_match": regex("[0-9]{2}")}]}, "query"),
    direct({"path_separated_prefix": "/api"}, "api"),
    direct(regex("/items/[0-9]+"), "items"),
    direct(regex("/i/(?i:abc)"), "folded"),
    {"match": {"prefix": "/go"}, "redirect": {
        "regex_rewrite": {"pattern": {"regex": "^/go/(.*)$"}, "substitution": "/gone/\\1"}}},
    {"match": regex("/whole/.*"), "route": {"cluster": "origin", "prefix_rewrite": "/other"}},
    {"match": {"prefix": "/service"}, "route": {"cluster": "origin", "regex_rewrite": {
        "pattern": {"regex": "^/service/([^/]+)(/.*)$"}, "substitution": "\\2/instance/\\1"}}},
]

CASES = [
    ("/items/42", {}, 200, "items"), ("/items/42?a=b", {}, 200, "items"), ("/items/x", {}, 404, None),
    ("/items/42/y", {}, 404, None), ("/x/items/42", {}, 404, None), ("/i/ABc", {}, 200, "folded"),
    ("/api", {}, 200, "api"), ("/api/x", {}, 200, "api"), ("/apiary", {}, 404, None),
    ("/cookie", {"cookie": "a=b; user=12"}, 200, "user"), ("/cookie", {"cookie": 'user="12"'}, 200, "user"),
    ("/cookie", {"cookie": "user=x"}, 200, "not root"), ("/cookie", {"cookie": "user=root"}, 404, None),
    ("/header", {"x-a": "aab"}, 200, "header"), ("/header", {"x-a": "aabb"}, 404, None),
    ("/header", {"x-old": "old"}, 200, "old"), ("/query?id=12", {}, 200, "query"), ("/query?id=123", {}, 404, None),
    ("/go/a?b", {}, 301, "/gone/a?b"), ("/whole/a/b?q", {}, 200, "/other?q"),
    ("/service/foo/v1/api?q=1", {}, 200, "/v1/api/instance/foo?q=1"), ("/service/x", {}, 200, "/service/x"),
]


def tell_path(peer):
    while True:
        head, _ = peer.request()
        peer.answer(head.split(b" ")[1])


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def port(request):
    port = free_port()
    with proxykit.Origin(tell_path) as origin:
        settings = [listener(port, http_filter(ROUTES))], [cluster("origin", origin.port)]
        with (proxykit.Proxy if request.param == "weft-proxy" else envoykit.Envoy)(*settings):
            yield port


@pytest.mark.parametrize("target,headers,status,result", CASES)
def test_routes_match_as_in_envoy(port, target, headers, status, result):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with Client(port) as client:
        got, fields, body = client.send(f"GET {target} HTTP/1.1\r\nhost: a\r\n{lines}\r\n").response()
    assert got == status
    if status == 301:
        assert fields["location"] == "http://a" + result
    elif result is not None:
        assert body.decode() == result


def check(tmp_path, *routes):
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {
        "listeners": [listener(1, http_filter(list(routes)))], "clusters": [cluster("origin", 9)]}}))
    done = subprocess.run([proxykit.program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True,
                          timeout=20)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("route,place,reason", [
    ({"match": regex("/a(b"), **YES}, "routes[0].match.safe_regex.regex", "missing )"),
    ({"match": {"prefix": "/", "headers": [{"name": "x", "string_match": regex("(?=a)")}]}, **YES},
     "routes[0].match.headers[0].string_match.safe_regex.regex", "is no regular expression"),
    ({"match": {"safe_regex": {"google_re2": {"max_program_size": 10}, "regex": "[a-z]{20}"}}, **YES},
     "routes[0].match.safe_regex.regex", "10 are allowed"),
    ({"match": {"prefix": "/"}, "route": {"cluster": "origin", "regex_rewrite": {
        "pattern": {"regex": "/(a)"}, "substitution": "\\2"}}},
     "routes[0].route.regex_rewrite.substitution", "parenthesized"),
    ({"match": {"prefix": "/"}, "route": {"cluster": "origin", "regex_rewrite": {
        "pattern": {"regex": "/(a)"}, "substitution": "/a HTTP"}}},
     "routes[0].route.regex_rewrite.substitution", "no spaces"),
])
def test_bad_expressions_are_refused_by_path(tmp_path, route, place, reason):
    code, text = check(tmp_path, route)
    assert code != 0 and place in text and reason in text, text


def test_a_stream_lives_no_longer_than_its_route_allows():
    def never(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        peer.more()
    action = {"cluster": "origin", "timeout": "0s", "max_stream_duration": {"max_stream_duration": "0.2s"}}
    with proxykit.Origin(never) as origin, proxykit.simple_proxy(
            origin.port, filters=[http_filter([proxykit.route(action)])]) as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        with pytest.raises(EOFError):
            client.response()
