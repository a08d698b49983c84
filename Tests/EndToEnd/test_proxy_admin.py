"""The admin of weft-proxy, its command line, its access log and its end, with the real program."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import proxykit
from proxykit import Proxy, cluster, free_port, http_filter, listener, program, route

DIRECT = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def ask(port, path, method="GET", **headers):
    """Status, headers and body of one request to 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict((name.lower(), value) for name, value in answer.getheaders()), body


@pytest.fixture(scope="module")
def direct():
    """A proxy that answers everything itself."""
    port = free_port()
    with Proxy([listener(port, http_filter([DIRECT]))], [cluster("origin", 9)]) as proxy:
        proxy.port = port
        yield proxy


def late_origin(delay=0):
    """An origin that answers every request after `delay` seconds."""
    def behaviour(peer):
        while True:
            peer.request()
            time.sleep(delay)
            peer.answer()
    return proxykit.Origin(behaviour)


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


# --- Pages -----------------------------------------------------------------------------------------------------------

def test_every_page_answers(direct):
    for path in ("/", "/help", "/ready", "/stats", "/stats?format=json", "/stats/prometheus", "/clusters",
                 "/clusters?format=json", "/config_dump", "/config_versions", "/listeners", "/listeners?format=json",
                 "/server_info", "/memory", "/runtime", "/certs", "/stats?usedonly", "/stats?type=Histograms"):
        status, headers, body = ask(direct.admin_port, path)
        assert status == 200, path
        assert int(headers["content-length"]) == len(body.encode()), path
        if "json" in headers["content-type"]:
            json.loads(body)


def test_unknown_pages_are_404(direct):
    assert ask(direct.admin_port, "/nothing")[0] == 404


@pytest.mark.parametrize("path", [
    "/quitquitquit", "/drain_listeners", "/logging?level=debug", "/reopen_logs", "/reset_counters", "/healthcheck/fail"])
def test_changes_need_a_post(direct, path):
    status, headers, _ = ask(direct.admin_port, path)
    assert status == 405
    assert headers["allow"] == "POST"
    assert ask(direct.admin_port, "/ready")[0] == 200


@pytest.mark.parametrize("host,status", [
    ("localhost", 200), ("localhost:99", 200), ("127.0.0.1", 200), ("127.8.8.8:1", 200), ("[::1]:80", 200),
    ("evil.example", 403), ("localhost.evil.example", 403), ("10.0.0.1", 403),
])
def test_requests_must_name_this_machine(direct, host, status):
    assert ask(direct.admin_port, "/stats", Host=host)[0] == status


def test_head_has_no_body(direct):
    status, headers, body = ask(direct.admin_port, "/stats", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["content-length"]) > 0


def test_garbage_gets_400_and_does_no_harm(direct):
    for bytes_ in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", direct.admin_port), 5) as one:
            one.sendall(bytes_)
            assert one.recv(4096).startswith(b"HTTP/1.1 400")
            assert one.recv(4096) in (b"",)
    with socket.create_connection(("127.0.0.1", direct.admin_port), 5) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40000)
        one.settimeout(5)
        assert one.recv(4096)[:12] in (b"HTTP/1.1 400", b"")
    assert ask(direct.admin_port, "/ready")[0] == 200


def test_many_connections_at_once_do_not_block_the_admin(direct):
    held = [socket.create_connection(("127.0.0.1", direct.admin_port), 5) for _ in range(40)]
    assert ask(direct.admin_port, "/ready")[0] == 200
    for one in held:
        one.close()


def test_stats_can_be_filtered(direct):
    body = ask(direct.admin_port, "/stats?filter=%5Eserver.")[2]
    assert body and all(line.startswith("server.") for line in body.splitlines())
    rows = json.loads(ask(direct.admin_port, "/stats?format=json&filter=origin")[2])["stats"]
    names = [row["name"] for row in rows if "name" in row]
    assert names and all("origin" in name for name in names)
    assert ask(direct.admin_port, "/stats?filter=(")[0] == 400
    assert ask(direct.admin_port, "/stats?type=x")[0] == 400
    assert ask(direct.admin_port, "/stats?format=x")[0] == 400


def test_pages_that_envoy_has_and_the_proxy_has_not_say_so(direct):
    status, _, body = ask(direct.admin_port, "/cpuprofiler", "POST")
    assert status == 501 and "perf" in body


def test_the_health_check_can_be_failed(direct):
    assert ask(direct.admin_port, "/healthcheck/fail", "POST")[0] == 200
    assert ask(direct.admin_port, "/ready")[0] == 503
    assert "server.live: 0" in ask(direct.admin_port, "/stats?filter=server")[2]
    assert ask(direct.admin_port, "/healthcheck/ok", "POST")[0] == 200
    assert ask(direct.admin_port, "/ready")[0] == 200


def test_numbers_stand_under_envoys_names():
    """Every number of ours under `cluster.`, `http.` and `listener.` is one of Envoy's; the labels are Envoy's, too."""
    port = free_port()
    with proxykit.Origin(proxykit.serving(status="404 Not Found")) as origin, \
            Proxy([listener(port, http_filter([route("web")]))], [cluster("web", origin.port)]) as proxy:
        for _ in range(3):
            with proxykit.Client(port) as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert client.response()[0] == 404
        text = proxy.admin("/stats")
        values = dict(line.rsplit(": ", 1) for line in text.splitlines())
        for name in ("cluster.web.upstream_rq_total", "cluster.web.upstream_rq_4xx", "http.test.downstream_rq_4xx",
                     "http.test.downstream_rq_total", f"listener.127.0.0.1_{port}.downstream_cx_total"):
            assert values[name] == "3", name
        assert values["http.test.downstream_rq_2xx"] == "0"
        assert values["http.test.downstream_rq_time"].startswith("P0(")
        lines = proxy.admin("/stats/prometheus").splitlines()
        assert 'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="test",envoy_response_code_class="4"} 3' in lines
        assert 'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="web"} 3' in lines
        assert ask(proxy.admin_port, "/reset_counters", "POST")[0] == 200
        assert "http.test.downstream_rq_total: 0\n" in proxy.admin("/stats")


def test_the_log_level_can_be_changed(direct):
    assert ask(direct.admin_port, "/logging?level=loud", "POST")[0] == 400
    assert "warning" in ask(direct.admin_port, "/logging?level=warning", "POST")[2]
    assert "info" in ask(direct.admin_port, "/logging?level=info", "POST")[2]


def test_config_dump_shows_what_is_in_force(direct):
    dump = json.loads(ask(direct.admin_port, "/config_dump")[2])["configs"]
    kinds = {entry["@type"].rsplit(".", 1)[1]: entry for entry in dump}
    assert kinds["BootstrapConfigDump"]["bootstrap"]["node"]["id"] == "test"
    assert kinds["ClustersConfigDump"]["static_clusters"][0]["cluster"]["name"] == "origin"
    assert kinds["ListenersConfigDump"]["static_listeners"][0]["listener"]["name"] == "listener"
    assert kinds["RoutesConfigDump"]["static_route_configs"][0]["route_config"]["name"] == "routes"


def test_prometheus_text_is_well_formed(direct):
    ask(direct.port, "/")
    status, headers, body = ask(direct.admin_port, "/stats/prometheus")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    families = set()
    for line in body.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in families, "a family is declared twice"
            families.add(name)
        elif not line.startswith("#"):
            base = line.split("{")[0].split(" ")[0]
            assert base in families or base.rsplit("_", 1)[0] in families, line
            float(line.rsplit(" ", 1)[1])
    assert {"request_total", "response_total", "response_latency_ms", "process_resident_memory_bytes"} <= families


# --- Numbers ---------------------------------------------------------------------------------------------------------

LABELS = "weft.dev/labels"


def labelled(**labels):
    return {"filter_metadata": {LABELS: labels}}


def test_edges_are_counted_by_caller_and_callee():
    with late_origin() as origin:
        port = free_port()
        endpoint = proxykit.endpoint(origin.port, metadata=labelled(dst_deployment="api", dst_pod="api-1"))
        target = cluster("api", endpoint, metadata=labelled(dst_namespace="shop", dst_service="api"))
        chain = listener(
            port, http_filter([route("api")]), metadata=labelled(namespace="shop", deployment="web", pod="web-1"))
        with Proxy([chain], [target]) as proxy:
            for _ in range(5):
                assert ask(port, "/")[0] == 200
            page = proxy.admin("/stats/prometheus")
            edge = ('deployment="web",direction="outbound",dst_deployment="api",dst_namespace="shop",'
                    'dst_service="api",namespace="shop"')
            assert f"request_total{{{edge}}} 5\n" in page
            assert f"response_latency_ms_count{{{edge}}} 5\n" in page
            outcome = ('classification="success",deployment="web",direction="outbound",dst_deployment="api",'
                       'dst_namespace="shop",dst_service="api",namespace="shop",status_code="200"')
            assert f"response_total{{{outcome}}} 5\n" in page
            assert 'request_total{deployment="api",direction="inbound",namespace="shop"} 5\n' in page
            assert "pod=" not in page
            clusters = json.loads(proxy.admin("/clusters?format=json"))["cluster_statuses"]
            stats = {entry["name"]: entry["value"] for entry in clusters[0]["host_statuses"][0]["stats"]}
            assert stats["rq_total"] == "5" and stats["rq_success"] == "5"
            assert f"127.0.0.1:{origin.port}::rq_total::5" in proxy.admin("/clusters")


# --- Command line ----------------------------------------------------------------------------------------------------

def run(*arguments, text=None):
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=20, input=text, check=False)


def test_version_and_help():
    assert run("--version").stdout.startswith("weft-proxy ")
    assert "--mode" in run("--help").stdout


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], [], ["-c"], ["--mode", "dance", "-c", "x"], ["--concurrency", "0", "-c", "x"],
    ["--log-level", "loud", "-c", "x"],
])
def test_a_wrong_command_line_is_explained(arguments):
    result = run(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("weft-proxy: ")


def validate(tmp_path, configuration, name="c.json"):
    path = tmp_path / name
    path.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
    return run("--mode", "validate", "-c", str(path))


def static(listeners=(), clusters=()):
    return {"static_resources": {"listeners": list(listeners), "clusters": list(clusters)}}


def test_a_good_configuration_is_ok_as_json_and_yaml(tmp_path):
    good = static([listener(0, http_filter([route()]))], [cluster("origin", 80)])
    result = validate(tmp_path, good)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"configuration '{tmp_path}/c.json' OK\n"
    yaml = "static_resources:\n  clusters:\n  - {name: c, connect_timeout: 1s, type: STATIC}\n"
    assert validate(tmp_path, yaml, "c.yaml").returncode == 0


@pytest.mark.parametrize("configuration,words", [
    (static([listener(0, http_filter([route("nowhere")]))]), ["\"nowhere\"", "not defined"]),
    (static([], [cluster("a", 1), cluster("a", 2)]), ["static_resources.clusters[1].name", "already"]),
    (static([], [{**cluster("a", 1), "nmae": "b"}]), ["static_resources.clusters[0].nmae", "unknown"]),
    (static([], [cluster("a", proxykit.endpoint(1, "not-an-address"))]), ["endpoints[0].lb_endpoints[0]", "no IPv4"]),
    (static([listener(0)]), ["static_resources.listeners[0]", "filter"]),
    (static([listener(0, http_filter([route()], http_filters=[]))], [cluster("origin", 1)]), ["http_filters"]),
    (static([listener(0, http_filter([], virtual_hosts=[
        {"name": "a", "domains": ["x.y"], "routes": []}, {"name": "b", "domains": ["X.y"], "routes": []}]))]),
     ["route_config.virtual_hosts", "two virtual hosts"]),
    (static([listener(0, http_filter([{"match": {"prefix": "/"}, "route": {
        "cluster": "origin", "retry_policy": {"retry_on": "5xx,tuesdays"}}}]))], [cluster("origin", 1)]),
     ["routes[0].route.retry_policy", "tuesdays"]),
    (static([listener(0, http_filter([DIRECT], access_log=[{"name": "f", "typed_config": {
        "@type": FILE_LOG, "path": "/dev/null",
        "log_format": {"text_format_source": {"inline_string": "%NO_SUCH%"}}}}]))]),
     ["access_log[0].typed_config", "NO_SUCH"]),
    ("{", ["line 1"]),
    ("[]", ["weft-proxy"]),
])
def test_problems_are_named_by_path(tmp_path, configuration, words):
    result = validate(tmp_path, configuration)
    assert result.returncode == 1
    for word in words:
        assert word in result.stderr
    assert "OK" not in result.stdout


def test_all_problems_are_named_at_once(tmp_path):
    broken = static([listener(0, http_filter([route("x")]))], [{**cluster("a", 1), "connect_timeout": "soon"}])
    broken["nodes"] = {}
    result = validate(tmp_path, broken)
    assert "nodes" in result.stderr and "connect_timeout" in result.stderr


def test_a_missing_file_is_explained():
    result = run("-c", "/nowhere/at/all.json")
    assert result.returncode == 1
    assert "/nowhere/at/all.json" in result.stderr and "No such file" in result.stderr


def test_an_address_in_use_ends_the_start(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = tmp_path / "c.json"
        path.write_text(json.dumps(static([listener(taken.getsockname()[1], http_filter([DIRECT]))])))
        result = run("-c", str(path), "--concurrency", "1")
    assert result.returncode == 1
    assert "in use" in result.stderr


# --- Logs and ends ---------------------------------------------------------------------------------------------------

def logged(path, more=None):
    return [{"name": "file", "typed_config": {"@type": FILE_LOG, "path": str(path), **(more or {})}}]


def test_the_access_log_has_envoys_line_and_is_opened_again(tmp_path):
    path = tmp_path / "access.log"
    port = free_port()
    with Proxy([listener(port, http_filter([DIRECT], access_log=logged(path)))], []) as proxy:
        ask(port, "/a?b=c", **{"User-Agent": "test"})
        assert until(lambda: path.exists() and path.read_text().count("\n") == 1)
        line = path.read_text()
        assert '"GET /a?b=c HTTP/1.1" 200 - ' in line and '"test"' in line
        path.rename(tmp_path / "old.log")
        proxy.process.send_signal(signal.SIGUSR1)
        assert until(lambda: ask(port, "/")[0] == 200 and path.exists())


def test_a_custom_and_a_json_access_log(tmp_path):
    text, data = tmp_path / "text.log", tmp_path / "json.log"
    formats = logged(text, {"log_format": {"text_format_source": {
        "inline_string": "%REQ(:METHOD)%|%REQ(X-A?X-B)%|%RESPONSE_CODE%|%ROUTE_NAME%|%RESP(CONTENT-TYPE)%|%%\n"}}})
    formats += logged(data, {"log_format": {"json_format": {
        "status": "%RESPONSE_CODE%", "agent": "%REQ(USER-AGENT)%", "missing": "%REQ(X-NONE)%",
        "both": "%PROTOCOL% %BYTES_SENT%"}}})
    port = free_port()
    typed = proxykit.serving(b"ok", fields=b"content-type: text/plain\r\n")
    chain = http_filter([route(name="answer")], access_log=formats)
    with proxykit.Origin(typed) as origin, Proxy([listener(port, chain)], [cluster("origin", origin.port)]):
        ask(port, "/", **{"X-B": "second", "User-Agent": 'a"b\\c'})
        assert until(lambda: data.exists() and data.read_text().endswith("\n") and text.exists())
    assert text.read_text() == "GET|second|200|answer|text/plain|%\n"
    entry = json.loads(data.read_text())
    assert entry["status"] == 200
    assert entry["agent"] == 'a"b\\c'
    assert entry["missing"] is None
    assert entry["both"].startswith("HTTP/1.1 ")


def test_what_a_client_sends_cannot_forge_a_log_line(tmp_path):
    path = tmp_path / "access.log"
    port = free_port()
    with Proxy([listener(port, http_filter([DIRECT], access_log=logged(path)))], []):
        with socket.create_connection(("127.0.0.1", port), 5) as one:
            one.sendall(b'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x" 200 \xe2\x80\xa8\t\x1b]0;\r\n\r\n')
            one.recv(4096)
        ask(port, "/")
        assert until(lambda: path.exists() and path.read_bytes().count(b"\n") >= 1)
        time.sleep(0.1)
    raw = path.read_bytes()
    assert b"\x1b" not in raw and b"\xe2" not in raw
    assert b'x" 200' not in raw


def test_logs_that_take_nothing_hold_up_neither_traffic_nor_other_logs(tmp_path):
    """A pipe without a reader, one whose reader does not read, and a full disk, beside a good file."""
    unread, stuck, good = tmp_path / "unread", tmp_path / "stuck", tmp_path / "good.log"
    os.mkfifo(unread)
    os.mkfifo(stuck)
    reader = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
    long = {"log_format": {"text_format_source": {"inline_string": "x" * 20_000 + " %RESPONSE_CODE%\n"}}}
    logs = logged(unread) + logged(stuck, long) + logged("/dev/full") + logged(good)
    port = free_port()
    try:
        with Proxy([listener(port, http_filter([DIRECT], access_log=logs))], []) as proxy:
            with proxykit.Client(port) as client:
                for _ in range(200):
                    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert client.response()[0] == 200
            assert until(lambda: good.exists() and good.read_text().count("\n") == 200)
            # All of two logs, and of the third what neither the pipe nor the proxy keeps.
            assert until(lambda: proxy.stat("access_log_dropped_total") > 500)
            taken = os.read(reader, 100_000)
            assert taken.startswith(b"x" * 20_000 + b" 200\n")
    finally:
        os.close(reader)


def test_the_admin_logs_its_requests(tmp_path):
    path = tmp_path / "admin.log"
    made = Proxy([listener(free_port(), http_filter([DIRECT]))], [])
    made.configuration["admin"]["access_log_path"] = str(path)
    with made:
        assert until(lambda: path.exists() and '"GET /ready HTTP/1.1" 200' in path.read_text())


def test_pages_of_other_sites_may_not_ask(direct):
    assert ask(direct.admin_port, "/reset_counters", "POST", Origin="https://evil.example")[0] == 403
    assert ask(direct.admin_port, "/reset_counters", "POST", Origin=f"http://127.0.0.1:{direct.admin_port}")[0] == 200


def test_the_dump_can_be_narrowed_and_hides_keys(direct):
    dump = json.loads(ask(direct.admin_port, "/config_dump?resource=static_listeners&mask=listener.name")[2])["configs"]
    assert [row["listener"]["name"] for row in dump] == ["listener"] and "address" not in dump[0]["listener"]
    assert ask(direct.admin_port, "/config_dump?resource=nothing")[0] == 404
    named = json.loads(ask(direct.admin_port, "/config_dump?name_regex=nobody")[2])["configs"]
    assert all(not row.get("static_listeners") for row in named)


def test_a_log_that_cannot_be_written_stops_nothing():
    port = free_port()
    with Proxy([listener(port, http_filter([DIRECT], access_log=logged("/nowhere/access.log")))], []) as proxy:
        for _ in range(3):
            assert ask(port, "/")[0] == 200
        assert until(lambda: proxy.stat("access_log_dropped_total") == 3)


def test_term_lets_requests_end_and_takes_no_new_ones():
    with late_origin(delay=0.5) as origin:
        port = free_port()
        with Proxy([listener(port, http_filter([route()]))], [cluster("origin", origin.port)]) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            time.sleep(0.1)
            proxy.process.send_signal(signal.SIGTERM)
            assert until(lambda: not accepts(port))
            assert ask(proxy.admin_port, "/ready")[0] == 503
            assert connection.getresponse().status == 200
            assert proxy.process.wait(5) == 0


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_a_second_signal_hurries():
    with late_origin(delay=30) as origin:
        port = free_port()
        with Proxy([listener(port, http_filter([route()]))], [cluster("origin", origin.port)]) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            time.sleep(0.1)
            proxy.process.send_signal(signal.SIGINT)
            time.sleep(0.1)
            assert proxy.process.poll() is None
            proxy.process.send_signal(signal.SIGINT)
            assert proxy.process.wait(3) == 0


def test_quitquitquit_ends_the_process():
    with Proxy([listener(free_port(), http_filter([DIRECT]))], []) as proxy:
        assert ask(proxy.admin_port, "/quitquitquit", "POST")[0] == 200
        assert proxy.process.wait(5) == 0


def test_the_admin_on_a_unix_socket(tmp_path):
    path = tmp_path / "admin.sock"
    configuration = {"admin": {"address": {"pipe": {"path": str(path)}}}, **static([listener(0, http_filter([DIRECT]))])}
    file = tmp_path / "c.json"
    file.write_text(json.dumps(configuration))
    process = subprocess.Popen([program(), "-c", str(file), "--concurrency", "1"], stderr=subprocess.DEVNULL)
    try:
        assert until(path.exists)
        assert oct(os.stat(path).st_mode)[-3:] == "600"

        def live():
            # The file is there a moment before somebody listens.
            with socket.socket(socket.AF_UNIX) as one, contextlib.suppress(ConnectionRefusedError):
                one.connect(str(path))
                one.sendall(b"GET /ready HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
                return b"LIVE" in one.recv(4096)
        assert until(live)
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert not pathlib.Path(path).exists()


def test_listeners_on_port_0_are_one_port_for_all_workers():
    with Proxy([listener(0, http_filter([DIRECT]))], [], "--concurrency", "3") as proxy:
        row = json.loads(proxy.admin("/listeners?format=json"))["listener_statuses"][0]
        assert len(row["addresses"]) == 1
        port = int(row["addresses"][0].rsplit(":", 1)[1])
        assert all(ask(port, "/")[0] == 200 for _ in range(20))


def test_host_names_are_looked_up():
    with late_origin() as origin:
        port = free_port()
        target = cluster("origin", proxykit.endpoint(origin.port, "localhost"))
        with Proxy([listener(port, http_filter([route()]))], [{**target, "type": "STRICT_DNS"}]) as proxy:
            assert ask(port, "/")[0] == 200, "ready before the name was looked up"
            assert f"127.0.0.1:{origin.port}" in proxy.admin("/clusters")
