"""`weft logs`: which lines, of which containers, and that a follower misses none over rotations and restarts."""

import http.client
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

from weftkit import Weft, new_folder, wait_until

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}, command: [/bin/sh]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: talker, labels: {{app: talker}}}}
spec:
  restartPolicy: Never
  initContainers:
  - {{name: first, image: tools, command: [/bin/echo, preparing]}}
  containers:
  - name: main
    image: tools
    command: [/bin/sh, -c, "for i in 1 2 3; do echo line $i; done; sleep 1.5; printf 'late\\\\nraw \\\\377 byte\\\\n'; head -c 40000 /dev/zero | tr '\\\\0' x; echo; echo last"]
  - {{name: side, image: tools, command: [/bin/sh, -c, "echo beside; echo aside >&2"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: crasher, labels: {{app: crasher}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: tools, command: [/bin/sh, -c, "if [ -e /tmp/again ]; then echo second; exec sleep 3600; fi; touch /tmp/again; echo first; exit 3"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: waiter}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, image: tools, command: [/bin/sh, -c, "i=0; until [ -e /tmp/heard ]; do echo tick $i; i=$((i+1)); sleep 0.02; done; echo heard; echo and said >&2"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: flood}}
spec:
  restartPolicy: OnFailure
  containers:
  - name: main
    image: tools
    command: [/usr/bin/python3, -c, {script}]
"""

# Writes 22 MB in lines, in two runs that begin when they are told to; the second one ends well.
FLOOD = """\
import os, sys, time
run = 2 if os.path.exists("/tmp/again") else 1
open("/tmp/again", "w").close()
while not os.path.exists("/tmp/go"): time.sleep(0.02)
for number in range(110_000): print(run, number, "x" * 90)
sys.exit(2 - run)
"""


@pytest.fixture(scope="module")
def talk(needs_namespaces):
    folder = new_folder()
    program = Weft(folder / "state")
    with program.until_down("--now"):
        script = '"' + FLOOD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        (folder / "pods.yaml").write_text(MANIFEST.format(folder=folder, script=script))
        program.run("up", "--detach", str(folder / "pods.yaml"), timeout=60)
        wait_until(lambda: program.json("get", "pod", "talker")["status"]["phase"] == "Succeeded", "the talker has talked")
        wait_until(lambda: "second" in program.run("logs", "crasher", check=False).stdout, "the crasher runs again")
        yield program


def raw(weft, *words):
    return subprocess.run(weft.command("logs", *words), capture_output=True, env=weft.environment(), timeout=30)


def test_lines_of_one_container(talk):
    done = raw(talk, "talker", "-c", "main")
    assert done.stdout == b"line 1\nline 2\nline 3\nlate\nraw \xff byte\n" + b"x" * 40000 + b"\nlast\n"
    # A line of 40,000 bytes is written in parts, and counts once.
    assert raw(talk, "talker", "-c", "main", "--tail", "2").stdout == b"x" * 40000 + b"\nlast\n"
    assert raw(talk, "talker", "-c", "main", "--tail", "0").stdout == b""
    assert raw(talk, "talker", "-c", "main", "--limit-bytes", "9").stdout == b"line 1\nli"
    done = talk.run("logs", "talker", "--tail", "1")
    assert done.stdout == "last\n" and done.stderr == 'Defaulted container "main" out of: main, side\n'


def test_lines_since_a_time(talk):
    lines = raw(talk, "talker", "-c", "main", "--timestamps", "--tail", "7").stdout.decode(errors="replace").splitlines()
    times = [line.split()[0] for line in lines]
    assert times == sorted(times) and all(len(time_) == 30 and time_.endswith("Z") for time_ in times)
    late = next(line.split()[0] for line in lines if line.endswith(" late"))
    done = talk.run("logs", "talker", "-c", "main", "--since-time", late, "--limit-bytes", "5")
    assert done.stdout == "late\n"
    assert raw(talk, "talker", "-c", "main", "--since", "1h").stdout.startswith(b"line 1\n")
    assert talk.run("logs", "talker", "-c", "main", "--since-time", "2100-01-01T00:00:00Z").stdout == ""


def test_all_containers_and_all_pods_of_a_selector(talk):
    done = talk.run("logs", "talker", "--all-containers", "--limit-bytes", "12")
    assert done.stdout.splitlines() == [
        "[talker/first] preparing", "[talker/main] line 1", "[talker/main] line ", "[talker/side] beside", "[talker/side] aside",
    ]
    done = talk.run("logs", "-l", "app in (talker,crasher)", "-c", "main", "--limit-bytes", "7")
    assert done.stdout.splitlines() == ["[crasher] second", "[talker] line 1"]
    done = talk.run("logs", "-l", "app in (talker,crasher)", "-c", "side", check=False)
    assert done.returncode == 1 and done.stdout.splitlines() == ["[talker] beside", "[talker] aside"]
    assert "[crasher] container side is not valid" in done.stderr


def test_one_stream_alone(talk):
    def ask(query):
        connection = http.client.HTTPConnection("weft", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{talk.state}/weft.sock")
        connection.request("GET", f"/api/v1/namespaces/default/pods/talker/log?container=side&{query}")
        return connection.getresponse().read().decode()

    assert (ask("stream=Stdout"), ask("stream=Stderr"), ask("stream=All")) == ("beside\n", "aside\n", "beside\naside\n")
    assert ask("stream=Stdout&tailLines=1") == "beside\n" and "must be All" in ask("stream=x")


def test_a_follower_whose_reader_goes_ends(talk):
    follower = subprocess.Popen(talk.command("logs", "-f", "waiter"), stdout=subprocess.PIPE, env=talk.environment())
    assert follower.stdout.readline() == b"tick 0\n"
    follower.stdout.close()
    assert follower.wait(10) == 0


def test_what_a_container_writes_from_now_on(talk):
    done = talk.run("attach", "talker", "-c", "main", check=False)
    assert done.returncode == 1 and "has ended: Completed" in done.stderr
    client = talk.start("attach", "waiter")
    first = client.stdout.readline()
    assert re.fullmatch(r"tick \d+\n", first) and first != "tick 0\n"
    talk.run("exec", "waiter", "--", "touch", "/tmp/heard")
    out, errors = client.communicate(timeout=10)
    assert client.returncode == 0 and out.endswith("heard\n") and errors == "and said\n"
    # Every line from the first one on.
    ticks = [int(line.split()[1]) for line in (first + out).splitlines() if line.startswith("tick")]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))


def test_the_run_before(talk):
    assert talk.run("logs", "crasher", "--previous").stdout == "first\n"
    assert talk.run("logs", "crasher").stdout == "second\n"
    done = talk.run("logs", "talker", "-c", "main", "--previous", check=False)
    assert done.returncode == 1 and "previous terminated container" in done.stderr


@pytest.mark.parametrize("words, message", [
    (["talker", "--since", "x"], "--since takes a time"),
    (["talker", "--since-time", "noon"], "--since-time takes a time"),
    (["talker", "--since", "1m", "--since-time", "2026-01-31T12:00:00Z"], "not both"),
    (["talker", "-c", "main", "--all-containers"], "not both"),
    (["talker", "-c", "nope"], "container nope is not valid for pod talker"),
])
def test_wrong_wishes_are_told(talk, words, message):
    done = talk.run("logs", *words, check=False)
    assert done.returncode in (1, 2) and message in done.stderr


def test_a_follower_misses_nothing(talk):
    pid = talk.daemon_pid()
    before = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    follower = subprocess.Popen(talk.command("logs", "-f", "flood"), stdout=subprocess.PIPE, env=talk.environment())
    stalled = subprocess.Popen(talk.command("logs", "-f", "flood"), stdout=subprocess.PIPE, env=talk.environment())
    talk.run("exec", "flood", "--", "touch", "/tmp/go")
    text = follower.stdout.read()
    assert follower.wait(10) == 0
    # Two runs of 11 MB, each with a rotation within, in order and whole.
    wanted = b"".join(b"%d %d %s\n" % (run, number, b"x" * 90) for run in (1, 2) for number in range(110_000))
    assert len(text) == len(wanted) and text == wanted
    after = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    assert after - before < 16 << 20, f"{after - before} bytes for a follower that does not read"
    assert stalled.stdout.read() == wanted, "what a slow reader has not read yet is still there"
    assert stalled.wait(10) == 0
    directory = next(pathlib.Path(talk.state, "pods").glob("*/logs/main/1.log.1"), None)
    assert directory, "the log was rotated"
