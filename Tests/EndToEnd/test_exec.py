"""Commands inside containers: streams, terminals, exit codes, and clients that go away, do not read or do not behave."""

import base64
import fcntl
import http.client
import json
import os
import pathlib
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from weftkit import USERS, Weft, new_folder, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/bin/sh]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: box, labels: {{app: box}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: tools
    command: [/bin/sleep, "3600"]
    workingDir: /usr
    env: [{{name: GREETING, value: hello}}]
  - name: side
    image: tools
    command: [/bin/sleep, "7739"]
    securityContext: {{capabilities: {{drop: [ALL]}}, readOnlyRootFilesystem: true}}
---
apiVersion: v1
kind: Pod
metadata: {{name: done}}
spec:
  restartPolicy: Never
  containers: [{{name: main, image: tools, command: [/bin/true]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: boxes}}
spec: {{selector: {{app: box}}, ports: [{{port: 80}}]}}
"""


@pytest.fixture(scope="module", params=USERS)
def box(request, needs_namespaces):
    folder = new_folder(request.param)
    program = Weft(folder / "state", request.param)
    with program.until_down("--now"):
        (folder / "box.yaml").write_text(MANIFEST.format(folder=folder))
        program.run("up", "--detach", str(folder / "box.yaml"), timeout=60)
        phase = lambda name: program.json("get", "pod", name)["status"]["phase"]
        wait_until(lambda: phase("done") == "Succeeded" and phase("box") == "Running", "the pods run")
        yield program


class Terminal:
    """A program behind a real terminal."""

    def __init__(self, weft, *words, rows=30, columns=100):
        self.main, side = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(side)
        self.process = subprocess.Popen(
            weft.command(*words),
            stdin=side, stdout=side, stderr=side, start_new_session=True,
            env={**weft.environment(), "SWIFT_BACKTRACE": "enable=no"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.side = side
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.main, text.encode())

    def expect(self, text, seconds=10):
        """Reads until the text has come; what came before it is forgotten."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            ready = select.select([self.main], [], [], max(left, 0))[0]
            assert ready, f"{text!r} did not come; there is {self.seen[-500:]!r}"
            self.seen += os.read(self.main, 65536)
        self.seen = self.seen.split(text.encode(), 1)[1]

    def end(self, seconds=10):
        """Waits for the program's end: its exit code, and that the terminal is as it was."""
        code = self.process.wait(seconds)
        assert termios.tcgetattr(self.side) == self.before, "the terminal's mode was not put back"
        os.close(self.side)
        os.close(self.main)
        return code


class Socket:
    """A WebSocket as a Kubernetes client opens it, and as a hostile one would."""

    def __init__(self, weft, *command, container="main", protocol="v5.channel.k8s.io", method="GET", more="", **flags):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(f"{weft.state}/weft.sock")
        query = "&".join(
            [f"container={container}"] + [f"command={word}" for word in command] + [f"{k}={v}" for k, v in flags.items()]
        )
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"{method} /api/v1/namespaces/default/pods/box/exec?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n{more}\r\n".encode()
        )
        self.rest = b""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        self.head = head.decode()
        self.status = int(head.split()[1])

    def body(self):
        length = int(next(l.split(":")[1] for l in self.head.splitlines() if l.lower().startswith("content-length")))
        return json.loads(self.take(length))

    def take(self, count):
        while len(self.rest) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.rest += piece
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def send(self, payload, opcode=2):
        mask = os.urandom(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def frame(self):
        """(opcode, payload)"""
        first, second = self.take(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.take(8))[0]
        return first & 0x0F, self.take(size)

    def collect(self):
        """Everything until the end: the channels' bytes, and the status."""
        channels = {1: b"", 2: b"", 3: b""}
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                return channels[1], channels[2], json.loads(channels[3])
            channels[payload[0]] += payload[1:]


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def processes(mark):
    """Processes of the machine whose command line holds a mark, but for `weft exec` itself."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if mark.encode() in words and b"exec" not in words:
            found.append(int(entry.name))
    return found


def test_a_command_runs_as_its_container_does(box):
    script = 'echo "$GREETING $PWD $(id -u)"; echo oops >&2; exit 7'
    done = box.run("exec", "box", "-c", "main", "--", "sh", "-c", script, check=False)
    assert done.stdout == "hello /usr 0\n"
    assert done.stderr == "oops\ncommand terminated with exit code 7\n"
    assert done.returncode == 7
    done = box.run("exec", "-q", "service/boxes", "--", "sh", "-c", "echo $GREETING; kill -9 $$", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (137, "hello\n", "")
    # Only what is asked for is passed on: without -i the command reads nothing.
    done = box.run("exec", "-q", "box", "-c", "side", "--", "sh", "-c", "cat; echo end$GREETING", input="unheard")
    assert done.stdout == "end\n"


def test_a_command_may_no_more_than_its_container(box):
    script = "grep -h -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$1/status; touch /usr/mine 2>&1"
    facts = lambda pid: box.run("exec", "-q", "box", "-c", "side", "--", "sh", "-c", script, "sh", pid, check=False).stdout
    main = box.run("exec", "-q", "box", "-c", "side", "--", "pgrep", "-f", "^/bin/sleep 7739").stdout.strip()
    assert facts("self") == facts(main)
    assert "CapEff:\t0000000000000000" in facts("self") and "Read-only file system" in facts("self")


def test_bytes_pass_unchanged_both_ways(box):
    data = os.urandom(10_000_000)
    done = subprocess.run(
        box.command("exec", "-q", "-i", "box", "--", "cat"), input=data, capture_output=True, env=box.environment(), timeout=60
    )
    assert done.returncode == 0 and done.stdout == data
    done = box.run("exec", "-q", "-i", "box", "--", "wc", "-l", input="")
    assert done.stdout == "0\n"


@pytest.mark.parametrize("words, code, message", [
    (["nobody", "--", "ls"], 1, 'pods "nobody" not found'),
    (["box", "-c", "nope", "--", "ls"], 1, "choose one of: [main side]"),
    (["done", "--", "ls"], 1, "has ended: Completed, exit code 0; none of this pod runs"),
    (["-q", "box", "--", "no-such-program"], 127, "not found in PATH"),
    (["-q", "box", "--", "/etc/passwd"], 126, "Permission denied"),
    (["box"], 2, "which command?"),
    (["deployment/x", "--", "ls"], 1, 'deployments.apps "x" not found'),
])
def test_what_cannot_run_is_told(box, words, code, message):
    done = box.run("exec", *words, check=False)
    assert done.returncode == code and message in done.stderr and done.stdout == ""


def test_a_terminal_of_its_own(box):
    terminal = Terminal(box, "exec", "-q", "-it", "box", "--", "sh")
    terminal.type("tty; stty size; echo $TERM\n")
    terminal.expect("/dev/pts/0")
    terminal.expect("30 100")
    terminal.expect("xterm")
    terminal.resize(41, 123)
    # The client hears of the size and of the keys on two ways: either may come first.
    terminal.type("""until stty size | grep "41 1""23"; do sleep 0.05; done\n""")
    terminal.expect("41 123")
    # The size may change while a program runs: it is told.
    terminal.type("""sh -c "trap 'stty size' WINCH; echo rea''dy; while sleep 0.05; do :; done"\n""")
    terminal.expect("ready")
    terminal.resize(20, 66)
    terminal.expect("20 66")
    terminal.type("\x03")
    terminal.type("echo ali''ve; cat; echo af''ter\n")
    terminal.expect("alive")
    terminal.type("\x04")
    terminal.expect("after")
    terminal.type("exit 9\n")
    assert terminal.end() == 9


def test_without_a_terminal_none_is_made(box):
    done = box.run("exec", "-it", "box", "-c", "main", "--", "sh", "-c", "tty; exit 3", input="", check=False)
    assert done.stdout == "not a tty\n" and done.returncode == 3
    assert done.stderr.startswith("Unable to use a TTY - input is not a terminal or the right kind of file\n")


def test_the_terminal_is_put_back_however_it_ends(box):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGABRT):
        terminal = Terminal(box, "exec", "-q", "-it", "box", "--", "sh")
        terminal.type("echo rea''dy\n")
        terminal.expect("ready")
        terminal.process.send_signal(number)
        assert terminal.end() == -number


def test_a_client_that_goes_takes_its_command_along(box):
    # One that obeys SIGHUP, one that has to be killed, and a child in the background.
    scripts = ["sleep 7711", "sleep 7711 & wait"]
    if box.user == USERS[0]:
        scripts.append("trap '' HUP; while :; do sleep 7711; done")
    for script in scripts:
        client = box.start("exec", "-q", "box", "--", "sh", "-c", script, "7712")
        wait_until(lambda: processes("7711"), "the command runs")
        client.kill()
        client.communicate()
        wait_until(lambda: not processes("7711") and not processes("7712"), f"{script!r} has ended", 10)


def test_a_reader_that_does_not_read_costs_no_memory(box):
    pid = box.daemon_pid()
    before = resident(pid)
    one = Socket(box, "cat", "/dev/zero", "7713", stdout=1)
    other = Socket(box, "sleep", "7714", stdin=1)
    assert one.status == other.status == 101
    other.socket.settimeout(0.3)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 64 << 20:
            other.send(b"\0" + bytes(60_000))
            sent += 60_000
    assert sent < 4 << 20, f"{sent} bytes were taken for a command that reads nothing"
    assert resident(pid) - before < 24 << 20
    for socket_ in (one, other):
        socket_.socket.close()
    wait_until(lambda: not processes("7713") and not processes("7714"), "the commands have ended")


def test_the_protocol_of_kubernetes_clients(box):
    for protocol in ("v5.channel.k8s.io", "v4.channel.k8s.io", "v9.channel.k8s.io, v4.channel.k8s.io"):
        client = Socket(box, "sh", "-c", "cat;exit%203", protocol=protocol, stdin="true", stdout="true", stderr="true")
        assert client.status == 101 and f"sec-websocket-protocol: {protocol.split()[-1]}" in client.head.lower()
        assert client.frame() == (2, b"\x01"), "the greeting on the lowest channel"
        client.send(b"\0in", opcode=1)
        assert client.frame() == (2, b"\x01in")
        client.send(b"ping!", opcode=9)
        assert client.frame() == (10, b"ping!")
        if "v4" in protocol:
            client.socket.close()
            continue
        client.send(b"\xff\0")
        out, errors, status = client.collect()
        assert (out, errors) == (b"", b"") and status["status"] == "Failure"
        assert status["reason"] == "NonZeroExitCode" and status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    client = Socket(box, "true", stdout=1)
    assert client.collect() == (b"", b"", {"metadata": {}, "status": "Success"})
    client = Socket(box, "sh", "-c", "read%20x;stty%20size", stdin=1, stdout=1, stderr=1, tty=1)
    client.send(b'\4{"Width":77,"Height":33}')
    client.send(b"\4{nonsense")
    client.send(b"\0\n")
    out, errors, status = client.collect()
    assert out.endswith(b"33 77\r\n") and errors == b"" and status["status"] == "Success"


@pytest.mark.parametrize("changes, status, message", [
    (dict(protocol="nonsense"), 400, "v5.channel.k8s.io"),
    (dict(method="POST", more="Content-Length: 0\r\n"), 400, "GET"),
    (dict(method="DELETE"), 400, "GET"),
    (dict(stdout=0), 400, "at least one of stdin, stdout, stderr"),
    (dict(more="Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400, "a key of 16 bytes"),
])
def test_a_wrong_opening_is_refused(box, changes, status, message):
    client = Socket(box, "true", **{"stdout": 1, **changes})
    assert client.status == status and message in client.body()["message"]


def test_who_does_not_speak_websocket_is_told(box):
    for headers in ({}, {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}):
        connection = http.client.HTTPConnection("weft", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{box.state}/weft.sock")
        connection.request("POST", "/api/v1/namespaces/default/pods/box/exec?container=main&command=true&stdout=1", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 400 and "upgrade" in json.load(answer)["message"]


def test_a_breach_of_the_protocol_ends_the_command(box):
    for number, (frame, code) in enumerate([(b"\x82\x01\x00", 1002), (b"\x82\xff" + b"\x7f" * 8, 1009)]):
        client = Socket(box, "sleep", f"772{number}", stdin=1, stdout=1)
        assert client.frame() == (2, b"\x01")
        client.socket.sendall(frame)
        opcode, payload = client.frame()
        assert opcode == 8 and struct.unpack(">H", payload[:2])[0] == code
        wait_until(lambda: not processes(f"772{number}"), "the command has ended")


def test_a_reader_that_goes_ends_the_command(box):
    client = box.start("exec", "-q", "box", "--", "sh", "-c", "while echo 7732; do :; done", "7733")
    assert client.stdout.readline() == "7732\n"
    client.stdout.close()
    assert client.wait(10) == 141
    client.stderr.close()
    wait_until(lambda: not processes("7733"), "the command has ended")


def test_a_pod_that_is_deleted_ends_its_commands(weft, folder):
    (folder / "box.yaml").write_text(MANIFEST.format(folder=folder))
    weft.run("up", "--detach", str(folder / "box.yaml"), timeout=60)
    wait_until(lambda: weft.json("get", "pod", "box")["status"]["phase"] == "Running", "the pod runs")
    client = weft.start("exec", "-q", "box", "--", "sh", "-c", "echo ready; exec sleep 7734")
    assert client.stdout.readline() == "ready\n"
    weft.run("delete", "pod", "box")
    out, errors = client.communicate(timeout=10)
    assert (client.returncode in (129, 137) and errors == "") or "the container or its pod has ended" in errors
    wait_until(lambda: not processes("7734"), "the command has ended")


def test_a_pod_runs_sixteen_commands_at_once(box):
    clients = [Socket(box, "sleep", "7730", stdout=1) for _ in range(16)]
    assert all(client.status == 101 for client in clients)
    refused = Socket(box, "true", stdout=1)
    assert refused.status == 429 and "too many commands at once" in refused.body()["message"]
    # Probes and hooks have their own room, and so has the daemon's own connection.
    for client in clients:
        client.socket.close()
    wait_until(lambda: not processes("7730"), "the commands have ended")
    wait_until(lambda: Socket(box, "true", stdout=1).status == 101, "there is room again")


def test_the_end_of_the_container_ends_its_commands(box):
    client = box.start("exec", "-q", "box", "-c", "side", "--", "sleep", "7740")
    wait_until(lambda: processes("7740"), "the command runs")
    os.kill(processes("7739")[0], 9)
    assert client.wait(10) == 137
    client.communicate()


def test_the_daemon_dies_within_a_session(weft, folder):
    (folder / "box.yaml").write_text(MANIFEST.format(folder=folder))
    weft.run("up", "--detach", str(folder / "box.yaml"), timeout=60)
    wait_until(lambda: weft.json("get", "pod", "box")["status"]["phase"] == "Running", "the pod runs")
    terminal = Terminal(weft, "exec", "-q", "-it", "box", "--", "sh", "-c", "echo ready; exec sleep 7751")
    terminal.expect("ready")
    os.kill(weft.daemon_pid(), 9)
    terminal.expect("the connection to the daemon was lost")
    assert terminal.end() == 1
    wait_until(lambda: not processes("7751"), "the command has ended")
    # The next daemon takes the pod over, which has not forgotten how its containers were started.
    weft.run("up", "--detach", str(folder / "box.yaml"), timeout=60)
    assert weft.run("exec", "-q", "box", "--", "sh", "-c", "echo $GREETING $PWD").stdout == "hello /usr\n"
