"""A field that is accepted has its effect: small ones, each in a listener of its own, run in a real Envoy and in weft-proxy."""

import json
import pathlib
import shutil
import tempfile

import pytest

import envoykit
from proxykit import (Client, Origin, Proxy, cluster, eventually, quiet_port, http_filter, listener, route)

TYPES = "type.googleapis.com/envoy.extensions."


def echo(peer):
    """Answers with the head that came, under a server's name of its own; `/fail` fails, `/empty` has an empty field."""
    while True:
        head, _ = peer.request()
        status = "503 Unavailable" if b"/fail" in head.split(b"\r\n")[0] else "200 OK"
        text = json.dumps([line.decode() for line in head.split(b"\r\n") if line])
        peer.answer(text.encode(), status=status, fields=b"server: origin\r\nx-own: yes\r\n")


def send(port, path="/", host="a", method="GET", body=b"", fields=()):
    """Status, fields of the answer, and the fields that the endpoint saw (None where it saw nothing)."""
    with Client(port) as client:
        lines = "".join(f"{line}\r\n" for line in fields)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{lines}\r\n".encode() + body)
        status, got, text = client.response()
        seen = None
        if text.startswith(b"["):
            rows = json.loads(text)
            seen = [row.split(" ")[1], *(row.lower() for row in rows[1:])] if (row := rows[0]) else None
        return status, {name.lower(): value for name, value in dict(got).items()}, seen


def saw(seen, name):
    """The values of a field as the endpoint saw them."""
    return [row.split(":", 1)[1].strip() for row in seen or [] if row.startswith(f"{name}:")]


def matching(*conditions):
    return [{"match": {"prefix": "/", "headers": list(conditions)}, "route": {"cluster": "origin"}}]


HEADERS = {
    "exact": ({"exact_match": "One"}, ["One", "one"]), "prefix": ({"prefix_match": "On"}, ["One", "oNe"]),
    "suffix": ({"suffix_match": "ne"}, ["One", "On"]), "contains": ({"contains_match": "n"}, ["One", "Oe"]),
    "range": ({"range_match": {"start": -2, "end": 3}}, ["-2", "2", "3", "x", " 1 "]),
    "case": ({"string_match": {"exact": "one", "ignore_case": True}}, ["ONE", "two"]),
    "missing": ({"string_match": {"exact": "one"}, "invert_match": True, "treat_missing_header_as_empty": True}, [None, "one"]),
    "strict": ({"string_match": {"exact": "one"}, "invert_match": True}, [None, "one", "two"]),
    "empty": ({"string_match": {"safe_regex": {"regex": ".*"}}, "treat_missing_header_as_empty": True}, [None, "x"]),
}


def log(path, **more):
    return [{"name": "file", "typed_config": {"@type": TYPES + "access_loggers.file.v3.FileAccessLog", "path": str(path),
                                              "log_format": more.pop("log_format", {
                                                  "text_format_source": {"inline_string": "%REQ(:PATH)%\n"}})}, **more}]


def compared(op, value):
    return {"comparison": {"op": op, "value": {"default_value": value, "runtime_key": "none"}}}


FILTERS = {
    "or": {"or_filter": {"filters": [{"status_code_filter": compared("GE", 500)}, {"header_filter": {
        "header": {"name": "x-log", "present_match": True}}}]}},
    "long": {"duration_filter": compared("GE", 5000)}, "short": {"duration_filter": compared("LE", 5000)},
    "none": {"runtime_filter": {"runtime_key": "logs.none", "percent_sampled": {"numerator": 100}}},
    "all": {"runtime_filter": {"runtime_key": "logs.all", "percent_sampled": {"numerator": 0}}},
    "type": {"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}},
    "runtime": {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 600, "runtime_key": "logs.status"}}}},
}


def run(kind, folder):
    ports, listeners, seen = {}, [], {}

    def add(name, routes=None, **more):
        ports[name] = quiet_port()
        listeners.append(listener(ports[name], http_filter(routes or [route()], **more), name=name))

    for transformation in ("OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"):
        add(transformation, server_header_transformation=transformation, server_name="front")
    add("heads", max_request_headers_kb=1)
    add("fields", common_http_protocol_options={"max_headers_count": 5})
    add("xff", use_remote_address=True)
    add("no-xff", use_remote_address=True, skip_xff_append=True)
    add("no-id", generate_request_id=False)
    add("ports", strip_any_host_port=True)
    add("keeps-ports")
    add("case", [{"match": {"path": "/A", "case_sensitive": False}, "route": {"cluster": "origin"}}])
    for name, (condition, _) in HEADERS.items():
        add(f"header-{name}", matching({"name": "x-test", **condition}))
    add("missing-404", [{"match": {"prefix": "/"}, "route": {
        "cluster_header": "x-cluster", "cluster_not_found_response_code": "NOT_FOUND"}}])
    add("missing-500", [{"match": {"prefix": "/"}, "route": {
        "cluster_header": "x-cluster", "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR"}}])
    add("empty-values", [route(request_headers_to_add=[
        {"header": {"key": "x-kept", "value": "%REQ(x-none)%"}, "keep_empty_value": True},
        {"header": {"key": "x-gone", "value": "%REQ(x-none)%"}}])])
    quiet = http_filter([route()])
    quiet["typed_config"]["http_filters"][0]["typed_config"]["suppress_envoy_headers"] = True
    ports["quiet"] = quiet_port()
    listeners.append(listener(ports["quiet"], quiet, name="quiet"))
    add("timed")
    hosts = [{"name": "b", "domains": ["b.example"], "routes": [route()]}]
    for name, more in {"any-port": {"ignore_port_in_host_matching": True}, "own-port": {}}.items():
        made = http_filter([], virtual_hosts=hosts)
        made["typed_config"]["route_config"].update(more)
        ports[name] = quiet_port()
        listeners.append(listener(ports[name], made, name=name))
    policy = {"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}
    previous = {"name": "previous", "typed_config": {"@type": TYPES + "retry.host.previous_hosts.v3.PreviousHostsPredicate"}}
    add("hosts", [{"match": {"prefix": "/"}, "route": {"cluster": "pair", "retry_policy": {
        **policy, "num_retries": 1, "retry_host_predicate": [previous], "host_selection_retry_max_attempts": "20"}}}])
    add("flags", [{"match": {"prefix": "/"}, "route": {"cluster": "empty"}}], proxy_status_config={
        "literal_proxy_name": "front", "remove_response_flags": True, "remove_details": False})
    for name, one in FILTERS.items():
        add(f"log-{name}", access_log=log(folder / name, filter=one))
    add("json", access_log=log(folder / "json", log_format={
        "json_format": {"b": "%REQ(x-none)%", "a": "%REQ(x-log)%", "c": {"d": "%RESPONSE_CODE%"}}, "omit_empty_values": True,
        "json_format_options": {"sort_properties": True}}))
    with Origin(echo) as origin, Origin(echo) as second:
        clusters = [cluster("origin", origin.port, alt_stat_name="other"), cluster("empty"),
                    cluster("pair", origin.port, second.port)]
        quick = ["--file-flush-interval-msec", "20"] if kind is envoykit.Envoy else []
        layers = {"layers": [{"name": "static", "static_layer": {"logs": {"none": 0, "all": 100, "status": 200}}}]}
        with kind(listeners, clusters, *quick, layered_runtime=layers) as proxy:
            for name in ("OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"):
                seen[name] = send(ports[name])[1].get("server")
            seen["heads"] = [send(ports["heads"], fields=[f"x: {'y' * size}"])[0] for size in (500, 3000)]
            seen["fields"] = [send(ports["fields"], fields=[f"x-{n}: y" for n in range(count)])[0] for count in (3, 8)]
            for name in ("xff", "no-xff"):
                # What came is not believed here: with `use_remote_address` the peer alone is named.
                seen[name] = len(saw(send(ports[name], fields=["x-forwarded-for: 9.9.9.9"])[2], "x-forwarded-for"))
            seen["no-id"] = saw(send(ports["no-id"])[2], "x-request-id")
            for name in ("ports", "keeps-ports"):
                seen[name] = saw(send(ports[name], host="b.example:8080")[2], "host")
            seen["case"] = [send(ports["case"], path)[0] for path in ("/a", "/A", "/b")]
            for name, (_, values) in HEADERS.items():
                seen[name] = [send(ports[f"header-{name}"], fields=[] if value is None else [f"x-test: {value}"])[0]
                              for value in values]
            for name in ("missing-404", "missing-500"):
                seen[name] = [send(ports[name], fields=fields)[0] for fields in ([], ["x-cluster: nope"], ["x-cluster: origin"])]
            _, _, got = send(ports["empty-values"])
            seen["empty-values"] = saw(got, "x-kept"), saw(got, "x-gone")
            for name in ("quiet", "timed"):
                seen[name] = "x-envoy-upstream-service-time" in send(ports[name])[1]
            for name in ("any-port", "own-port"):
                seen[name] = [send(ports[name], host=host)[0] for host in ("b.example", "b.example:99", "c")]
            # The second try is always at the other endpoint.
            before = [len(one.bytes.split(b"GET /fail")) for one in (origin, second)]
            for _ in range(10):
                send(ports["hosts"], "/fail")
            seen["hosts"] = [len(one.bytes.split(b"GET /fail")) - count for one, count in zip((origin, second), before)]
            seen["flags"] = send(ports["flags"])[1].get("proxy-status")
            for name in FILTERS:
                send(ports[f"log-{name}"], "/plain")
                send(ports[f"log-{name}"], "/named", fields=["x-log: yes"])
                send(ports[f"log-{name}"], "/fail")
            send(ports["json"], fields=["x-log: yes"])
            wanted = {"or": 2, "long": 0, "short": 3, "none": 0, "all": 3, "type": 0, "runtime": 3, "json": 1}
            for name, count in wanted.items():
                path = folder / name
                # A log without lines need not be there.
                eventually(lambda path=path, count=count: count == 0 or (
                    path.exists() and path.read_text().count("\n") >= count))
                seen[f"log {name}"] = path.read_text() if path.exists() else ""
            seen["stats"] = "cluster.other.upstream_rq_total" in proxy.admin("/stats?filter=cluster.other")
    return seen


@pytest.mark.one_worker
def test_accepted_fields_have_the_effect_that_they_have_in_envoy():
    seen = []
    for kind in (envoykit.Envoy, Proxy):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-accepted-", dir="/tmp"))
        try:
            seen.append(run(kind, folder))
        finally:
            shutil.rmtree(folder)
    theirs, ours = seen
    different = {name: (ours[name], theirs[name]) for name in theirs if ours[name] != theirs[name]}
    assert not different, "\n".join(f"{name}: ours {one!r}, Envoy's {two!r}" for name, (one, two) in different.items())
    assert ours["hosts"] == [10, 10] and ours["stats"]
