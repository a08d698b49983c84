"""The proxy's own answers as `local_reply_config` wants them, with weft-proxy and with Envoy."""

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, free_port, http_filter, listener


def status(code):
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": code, "runtime_key": "none"}}}}


def add(name, value):
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


CONFIG = {
    "mappers": [
        {"filter": {"and_filter": {"filters": [status(404), {"header_filter": {"header": {
            "name": "x-kind", "string_match": {"exact": "odd"}}}}]}}, "status_code": 418,
         "body": {"inline_string": "odd"}, "headers_to_add": [add("x-mapped", "%RESPONSE_CODE% %REQ(x-kind)%")]},
        {"filter": status(404), "body_format_override": {"text_format": "<%LOCAL_REPLY_BODY%> %RESPONSE_CODE% %REQ(:PATH)%",
                                                         "content_type": "text/html; charset=UTF-8"}},
        {"filter": {"response_flag_filter": {"flags": ["UH"]}}, "status_code": 500, "body": {"inline_string": "nobody"}},
    ],
    "body_format": {"json_format": {"code": "%RESPONSE_CODE%", "text": "%LOCAL_REPLY_BODY%", "fixed": "a"}},
}

CASES = [
    ("/none", "x-kind: odd\r\n", 418, '{"code":418,"fixed":"a","text":"odd"}\n', "application/json", "404 odd"),
    ("/none", "", 404, None, "text/html; charset=UTF-8", None),
    ("/direct", "", 202, '{"code":202,"fixed":"a","text":"direct"}\n', "application/json", None),
    ("/empty", "", 500, '{"code":500,"fixed":"a","text":"nobody"}\n', "application/json", None),
    ("/origin", "", 200, "ok", None, None),
]


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def port(request):
    routes = [{"match": {"prefix": "/direct"}, "direct_response": {"status": 202, "body": {"inline_string": "direct"}}},
              proxykit.route("nobody", "/empty"), proxykit.route("origin", "/origin")]
    port = free_port()
    kind = proxykit.Proxy if request.param == "weft-proxy" else envoykit.Envoy
    with proxykit.Origin(proxykit.serving()) as origin, kind(
            [listener(port, http_filter(routes, local_reply_config=CONFIG,
                                        proxy_status_config={"remove_details": True, "literal_proxy_name": "p"}))],
            [cluster("origin", origin.port), cluster("nobody")]):
        yield port


@pytest.mark.parametrize("path,fields,status,text,kind,mapped", CASES)
def test_own_answers_are_mapped_as_in_envoy(port, path, fields, status, text, kind, mapped):
    with Client(port) as client:
        got, head, body = client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n").response()
    assert (got, head.get("content-type"), head.get("x-mapped")) == (status, kind, mapped)
    errors = {"/none": "p; error=destination_not_found", "/empty": "p; error=destination_unavailable"}
    assert head.get("proxy-status") == errors.get(path)
    if text is None:
        # What the answer would have said without a format differs.
        assert body.startswith(b"<") and body.endswith(b"> 404 /none")
    else:
        assert body.decode() == text
