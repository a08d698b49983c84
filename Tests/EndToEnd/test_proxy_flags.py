"""The command line, the admin on a Unix socket, and what tcp_proxy does beside relaying."""

import json
import subprocess
import tempfile

import pytest

import proxykit
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, listener, program, tcp_filter


def run(*arguments):
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("arguments, said", [
    (["--component-log-level", "x:debug"], "use --log-level"), (["--restart-epoch", "1"], "under --supervise"),
    (["--drain-strategy", "never"], "gradual or immediate"), (["--base-id", "x"], "must be a number"),
    (["--allow-unknown-fields"], "always errors"), (["--no-such-flag"], "unknown option --no-such-flag"),
])
def test_flags_without_an_effect_are_refused_with_the_reason_and_help(arguments, said):
    done = run(*arguments)
    assert done.returncode == 1 and said in done.stderr.splitlines()[0] and "--mode" in done.stderr


def test_the_flags_of_an_envoy_script(tmp_path):
    port, admin = free_port(), tempfile.mkdtemp(prefix="weft-", dir="/tmp") + "/admin.sock"
    text = {"@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
            "response": {"inline_string": "merged"}}
    bootstrap = {"node": {"id": "a", "cluster": "b"}, "static_resources": {"listeners": [
        listener(free_port(), {"name": "echo", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}, name="first")]}}
    (tmp_path / "b.json").write_text(json.dumps(bootstrap))
    more = {"admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}}, "staticResources": {
        "listeners": [listener(port, {"name": "text", "typed_config": text}, name="second")]}}
    log, place = tmp_path / "log", tmp_path / "admin"
    process = subprocess.Popen([
        program(), "-c", str(tmp_path / "b.json"), "--config-yaml", json.dumps(more), "--concurrency", "1",
        "--log-path", str(log), "--service-node", "me", "--service-cluster", "us", "--service-zone", "here",
        "--admin-address-path", str(place), "--base-id", "3", "--restart-epoch", "0", "--disable-hot-restart",
        "--parent-shutdown-time-s", "900", "--drain-time-s", "0", "--drain-strategy", "immediate"])
    try:
        def ask(path):
            return subprocess.run(["curl", "-sS", "--max-time", "5", "--unix-socket", admin, f"http://admin{path}"],
                                  capture_output=True, text=True).stdout
        assert eventually(lambda: ask("/ready").startswith("LIVE"))
        node = json.loads(ask("/server_info"))["node"]
        assert (node["id"], node["cluster"], node["locality"]["zone"]) == ("me", "us", "here")
        assert place.read_text() == admin
        with Client(port) as client:
            assert client.rest() == b"merged"
        assert ask("/listeners").count("first") and "message=ready" in log.read_text()
        process.terminate()
        assert process.wait(proxykit.DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def test_init_only_ends_when_it_would_serve(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"static_resources": {"listeners": [
        listener(free_port(), tcp_filter("c"))], "clusters": [cluster("c", 9)]}}))
    done = run("-c", str(tmp_path / "b.json"), "--mode", "init_only")
    assert done.returncode == 0 and "message=ready" in done.stderr


def repeat(peer):
    while data := peer.connection.recv(65536):
        peer.send(data)


def test_relays_are_logged_while_they_live_and_tried_again_with_a_wait():
    port, other = free_port(), free_port()
    log = {"name": "log", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"text_format_source": {"inline_string": "LINE %BYTES_SENT%\n"}}}}
    options = {"flush_access_log_on_connected": True, "access_log_flush_interval": "0.05s"}
    dead = free_port()
    backoff = {"base_interval": "0.01s", "max_interval": "0.02s"}
    with Origin(repeat) as origin:
        listeners = [
            listener(port, tcp_filter("origin", access_log=[log], access_log_options=options), name="logged"),
            listener(other, tcp_filter("dead", max_connect_attempts=4, backoff_options=backoff,
                                       max_downstream_connection_duration="60s",
                                       max_downstream_connection_duration_jitter_percentage={"value": 50}), name="dead")]
        clusters = [cluster("origin", origin.port), cluster("dead", dead)]
        with Proxy(listeners, clusters) as proxy:
            with Client(port) as client:
                client.send(b"hello")
                assert client.exactly(5) == b"hello"
                assert eventually(lambda: proxy.text().count("LINE 5") >= 2)
            with Client(other) as client:
                assert client.is_closed()
            assert proxy.stat("retry_total") == 3
