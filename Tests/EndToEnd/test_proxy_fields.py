"""Fields of real Envoy configurations that stand alone: each is run in a real Envoy and in weft-proxy with the same client."""

import contextlib
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest

import envoykit
from proxykit import (DEADLINE, Client, Origin, Proxy, cluster, eventually, quiet_port, http_filter, listener, program,
                      route, tcp_filter)

TYPES = "type.googleapis.com/envoy.extensions."
LOG = TYPES + "access_loggers.file.v3.FileAccessLog"
TLS = TYPES + "transport_sockets.tls.v3."


@pytest.fixture(scope="module")
def certs():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-fields-", dir="/tmp"))

    def run(command):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=20)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    run(f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca -days 30")
    for name in ("server", "client"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}.example\nbasicConstraints=CA:FALSE\n")
        run(f"req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        run(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile ext -out {name}.pem")
    yield folder
    shutil.rmtree(folder)


def log(folder, name, text):
    return [{"name": "file", "typed_config": {"@type": LOG, "path": str(folder / name), "log_format": {
        "text_format_source": {"inline_string": text + "\n"}}}}]


def telling(peer):
    """Answers with the name and the host that it was asked for."""
    while True:
        head, _ = peer.request()
        fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
        peer.answer(json.dumps({"to": peer.origin.port, "x": fields.get("x-said")}).encode())


def ask(port, path="/", body=True, **fields):
    with Client(port) as client:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}Connection: close\r\n\r\n")
        status, _, text = client.response()
        return (status, json.loads(text)["x"]) if body and status == 200 else status


def lines(path, count):
    """The lines of a log once there are so many."""
    eventually(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines() if path.exists() else []


def both(scenario, *more):
    """What a scenario gives in Envoy and in weft-proxy."""
    seen = []
    for kind in (envoykit.Envoy, Proxy):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-fields-", dir="/tmp"))
        try:
            seen.append(scenario(kind, folder, *more))
        finally:
            shutil.rmtree(folder)
    return seen


def xff(**more):
    return {"name": "xff", "typed_config": {
        "@type": TYPES + "http.original_ip_detection.xff.v3.XffConfig", **more}}


def custom(name, **more):
    return {"name": "custom", "typed_config": {
        "@type": TYPES + "http.original_ip_detection.custom_header.v3.CustomHeaderConfig", "header_name": name, **more}}


def clients_and_logs(kind, folder):
    """Who the client is, what scheme it has, and when requests and connections are logged."""
    address = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
    ports = {name: quiet_port() for name in ("custom", "hops", "cidrs", "scheme", "starts", "plain", "relay", "dead")}

    def manager(name, routes=None, **more):
        return listener(ports[name], http_filter(routes or [route()], **more), name=name)

    by_scheme = [{"match": {"prefix": "/", "headers": [{"name": ":scheme", "string_match": {"exact": "https"}}]},
                  "route": {"cluster": "origin"},
                  "request_headers_to_add": [{"header": {"key": "x-said", "value": "%REQ(:SCHEME)%"}}]}]
    connection = "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %RESPONSE_FLAGS% %PROTOCOL% %UPSTREAM_CLUSTER%"
    with Origin(telling) as origin:
        listeners = [
            manager("custom", access_log=log(folder, "custom", address), original_ip_detection_extensions=[
                custom("x-client"), xff(xff_num_trusted_hops=1)]),
            manager("hops", access_log=log(folder, "hops", address), original_ip_detection_extensions=[
                xff(xff_num_trusted_hops=1)]),
            manager("cidrs", access_log=log(folder, "cidrs", address), original_ip_detection_extensions=[
                xff(xff_trusted_cidrs={"cidrs": [{"address_prefix": "127.0.0.0", "prefix_len": 8},
                                                 {"address_prefix": "10.0.0.0", "prefix_len": 8}]})]),
            manager("scheme", by_scheme, access_log=log(folder, "scheme", "%REQ(:SCHEME)%"),
                    scheme_header_transformation={"scheme_to_overwrite": "https"}),
            manager("starts", access_log=log(folder, "starts", "%ACCESS_LOG_TYPE% %REQ(:PATH)% %RESPONSE_CODE%"),
                    access_log_options={"flush_access_log_on_new_request": True}),
            {**manager("plain"), "access_log": log(folder, "plain", connection)},
            listener(ports["relay"], tcp_filter("origin", access_log=log(folder, "own", connection)), name="relay",
                     access_log=log(folder, "relay", connection + " %BYTES_RECEIVED% %BYTES_SENT%")),
            listener(ports["dead"], tcp_filter("dead"), name="dead", access_log=log(folder, "dead", connection)),
        ]
        quick = ["--file-flush-interval-msec", "50"] if kind is envoykit.Envoy else []
        with kind(listeners, [cluster("origin", origin.port), cluster("dead", quiet_port())], *quick):
            ask(ports["custom"], x_client="7.7.7.7")
            ask(ports["custom"], x_client="nobody", x_forwarded_for="1.1.1.1, 2.2.2.2")
            ask(ports["custom"])
            ask(ports["hops"], x_forwarded_for="1.1.1.1, 2.2.2.2,3.3.3.3")
            ask(ports["hops"], x_forwarded_for="1.1.1.1")
            ask(ports["cidrs"], x_forwarded_for="8.8.8.8, 9.9.9.9, 10.1.1.1")
            ask(ports["cidrs"], x_forwarded_for="10.1.1.1")
            ask(ports["cidrs"])
            seen = {"scheme": ask(ports["scheme"])}
            ask(ports["starts"], "/one")
            with Client(ports["plain"]) as client:
                for _ in range(3):
                    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    client.response()
            with Client(ports["plain"]):
                pass
            ask(ports["relay"])
            # The end may come while the client still connects.
            with contextlib.suppress(OSError), Client(ports["dead"]) as client:
                client.rest()
            wanted = {"custom": 3, "hops": 2, "cidrs": 3, "log scheme": 1, "starts": 2, "plain": 2, "own": 1, "relay": 1,
                      "dead": 1}
            for name, count in wanted.items():
                seen[name] = lines(folder / name.removeprefix("log "), count)
    return seen


@pytest.mark.one_worker
def test_clients_schemes_and_lines_of_logs():
    theirs, ours = both(clients_and_logs)
    assert ours == theirs
    assert ours["custom"] == ["7.7.7.7", "1.1.1.1", "127.0.0.1"] and ours["cidrs"][0] == "9.9.9.9"
    assert ours["scheme"] == (200, "https") and ours["log scheme"] == ["https"]
    assert ours["starts"] == ["DownstreamStart /one 0", "DownstreamEnd /one 200"]
    assert len(ours["plain"]) == 2, "a line for each connection"


def destinations(kind, folder):
    """ORIGINAL_DST where a header says, and with another port."""
    del folder
    ports = [quiet_port() for _ in range(3)]
    def original(name, **more):
        return {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s",
                "original_dst_lb_config": more}
    with Origin(telling) as one, Origin(telling) as two:
        ours = {one.port: "one", two.port: "two"}

        def where(port, **fields):
            with Client(port) as client:
                text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n")
                status, _, body = client.response()
                return ours[json.loads(body)["to"]] if status == 200 else status

        clusters = [original("header", use_http_header=True), original("named", use_http_header=True, http_header_name="X-To"),
                    original("port", use_http_header=True, upstream_port_override=two.port)]
        listeners = [listener(port, http_filter([route(made["name"])]), name=made["name"])
                     for port, made in zip(ports, clusters)]
        with kind(listeners, clusters):
            standard = "x-envoy-original-dst-host"
            return [
                [where(ports[0], **{standard: f"127.0.0.1:{origin.port}"}) for origin in (one, two, one)],
                [where(ports[0], **{standard: text}) for text in ("nowhere", "127.0.0.1", "127.0.0.1:0x1", "300.1.1.1:80")],
                where(ports[1], **{"x-to": f"127.0.0.1:{two.port}"}),
                where(ports[2], **{standard: "127.0.0.1:1"}),
            ]


def test_destinations_that_a_header_names():
    theirs, ours = both(destinations)
    assert ours == theirs
    assert ours == [["one", "two", "one"], [503] * 4, "two", "two"]


def secrets(kind, folder, certs):
    """TLS whose certificates and trust are secrets of the bootstrap."""
    del folder
    port, relay = quiet_port(), quiet_port()

    def pair(name):
        return {"certificate_chain": {"filename": str(certs / f"{name}.pem")},
                "private_key": {"inline_string": (certs / f"{name}.key").read_text()}}

    static = [{"name": "cert", "tls_certificate": pair("server")}, {"name": "own", "tls_certificate": pair("client")},
              {"name": "trust", "validation_context": {"trusted_ca": {"filename": str(certs / "ca.pem")}}}]
    combined = {"default_validation_context": {"match_typed_subject_alt_names": [
        {"san_type": "DNS", "matcher": {"exact": "client.example"}}]}, "validation_context_sds_secret_config": {"name": "trust"}}
    server = {"name": "tls", "typed_config": {
        "@type": TLS + "DownstreamTlsContext", "require_client_certificate": True, "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "cert"}], "combined_validation_context": combined}}}
    client = {"name": "tls", "typed_config": {
        "@type": TLS + "UpstreamTlsContext", "sni": "server.example", "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "own"}],
            "validation_context_sds_secret_config": {"name": "trust"}}}}
    with Origin(telling) as origin:
        chain = [{"filters": [http_filter([route()])], "transport_socket": server}]
        listeners = [listener(port, filter_chains=chain), listener(relay, http_filter([route("tls")]), name="relay")]
        clusters = [cluster("origin", origin.port), cluster("tls", port, transport_socket=client)]
        with kind(listeners, clusters, static_resources={
                "listeners": listeners, "clusters": clusters, "secrets": static}):
            context = ssl.create_default_context(cafile=certs / "ca.pem")
            refused = False
            with contextlib.suppress(ConnectionError, TimeoutError), socket.create_connection(("127.0.0.1", port)) as plain:
                try:
                    with context.wrap_socket(plain, server_hostname="server.example") as secure:
                        secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        refused = not secure.recv(1)
                except ssl.SSLError:
                    refused = True
            return ask(relay), refused


def test_secrets_of_the_bootstrap(certs):
    theirs, ours = both(secrets, certs)
    assert ours == theirs == ((200, None), True)


@pytest.mark.parametrize("change,words", [
    ({"name": "missing"}, 'static_resources.secrets has no "missing"'),
    ({"name": "trust"}, 'the secret "trust" holds no tls_certificate')])
def test_secrets_that_do_not_fit_are_refused(tmp_path, change, words):
    server = {"name": "tls", "typed_config": {"@type": TLS + "DownstreamTlsContext", "common_tls_context": {
        "tls_certificate_sds_secret_configs": [change]}}}
    made = listener(0, filter_chains=[{"filters": [http_filter([route("origin")])], "transport_socket": server}])
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {
        "listeners": [made], "clusters": [cluster("origin", 1)],
        "secrets": [{"name": "trust", "validation_context": {"system_root_certs": {}}}]}}))
    done = subprocess.run([program(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and words in done.stderr + done.stdout


def templates(kind, folder):
    """Paths that are matched and rewritten by templates."""
    del folder
    port = quiet_port()

    def matched(template, name, rewrite=None):
        action = {"cluster": "origin"}
        if rewrite:
            action["path_rewrite_policy"] = {"name": "rewrite", "typed_config": {
                "@type": TYPES + "path.rewrite.uri_template.v3.UriTemplateRewriteConfig", "path_template_rewrite": rewrite}}
        return {"match": {"path_match_policy": {"name": "match", "typed_config": {
            "@type": TYPES + "path.match.uri_template.v3.UriTemplateMatchConfig", "path_template": template}}},
            "route": action, "response_headers_to_add": [{"header": {"key": "x-route", "value": name}}]}

    routes = [matched("/swap/{one}/{two}", "swap", "/{two}/{one}/end"), matched("/rest/{head}/{tail=**}", "rest", "/{tail}"),
              matched("/form/{part=a/*/c}/x.{kind}", "form", "/{kind}/{part}"), matched("/plain/*/files", "plain"),
              matched("/video/**.m4s", "video"), route()]

    def answering(peer):
        while True:
            head, _ = peer.request()
            peer.answer(head.split(b" ")[1])

    def seen(path):
        with Client(port) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            status, fields, body = client.response()
            return status, dict(fields).get("x-route"), body.decode()

    with Origin(answering) as origin, kind(
            [listener(port, http_filter(routes, normalize_path=True))], [cluster("origin", origin.port)]):
        return [seen(path) for path in (
            "/swap/a/b", "/swap/a/b?q=1", "/swap/a", "/swap/a/b/c", "/swap//b", "/rest/a/b/c", "/rest/a/", "/form/a/b/c/x.y",
            "/form/a/b/d/x.y", "/plain/a/files", "/plain/a/b/files", "/plain/a.b-c/files/", "/video/1/2.m4s", "/video/1/2.mp4")]


def test_paths_by_templates():
    theirs, ours = both(templates)
    assert ours == theirs
    assert ours[0] == (200, "swap", "/b/a/end")


@pytest.mark.parametrize("template,rewrite,words", [
    ("a", None, "begins with /"), ("/{a}/{a}", None, "twice"), ("/**/*", None, "** has to be the last"),
    ("/{a", None, "{ without }"), ("/{9}", None, "a letter first"), ("/a?b", None, "may not stand here"),
    ("/{a}", "/{b}", "no such name"), ("/{a}", "{a}", "begins with /"), (None, "/{a}", "has to be matched by path_match_policy")])
def test_templates_that_are_none_are_refused(tmp_path, template, rewrite, words):
    match = {"prefix": "/"} if template is None else {"path_match_policy": {"name": "match", "typed_config": {
        "@type": TYPES + "path.match.uri_template.v3.UriTemplateMatchConfig", "path_template": template}}}
    action = {"cluster": "origin"} if rewrite is None else {"cluster": "origin", "path_rewrite_policy": {
        "name": "rewrite", "typed_config": {"@type": TYPES + "path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
                                            "path_template_rewrite": rewrite}}}
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({"static_resources": {
        "listeners": [listener(0, http_filter([{"match": match, "route": action}]))], "clusters": [cluster("origin", 1)]}}))
    done = subprocess.run([program(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and words in done.stderr + done.stdout, done.stderr
