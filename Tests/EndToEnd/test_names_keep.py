"""Names are answered while the daemon is dead, and again at once when the server of names is killed."""

import os
import pathlib
import signal
import socket
import subprocess

import pytest

from weftkit import PROGRAM, USERS, wait_until

# Asks for a name again and again, past the C library's own cache of files; one line for each answer.
ASKER = """\
import socket, time
while True:
    start = time.monotonic()
    try: what = socket.gethostbyname("echo.default.svc.cluster.local")
    except OSError as error: what = type(error).__name__
    print(what, time.monotonic() - start, flush=True)
    time.sleep(0.005)
"""

MANIFEST = """\
apiVersion: weft.dev/v1alpha1
kind: Image
metadata: {{name: tools}}
spec: {{directory: {folder}/image, command: [/usr/bin/python3]}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec: {{selector: {{app: echo}}, ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: asker}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: tools, args: [asker.py]}}]
"""


@pytest.fixture
def mesh(weft, folder):
    (folder / "image").mkdir()
    (folder / "image").chmod(0o755)
    (folder / "image/asker.py").write_text(ASKER)
    (folder / "all.yaml").write_text(MANIFEST.format(folder=folder))
    weft.run("up", "--detach", str(folder / "all.yaml"), timeout=60)
    return weft


def answers(weft):
    """What the pod was told, from the file in which its init writes its words: it is there without a daemon, too."""
    files = [path for path in pathlib.Path(weft.state, "pods").glob("*/**/*") if path.is_file() and path.suffix == ".log"]
    lines = [line.split() for path in files for line in path.read_text(errors="replace").splitlines()]
    return [words[-2] for words in lines if len(words) >= 2 and words[-1][:1].isdigit()]


def folder_of(weft):
    return pathlib.Path(weft.state).parent


def names_pid(weft):
    try:
        return int(pathlib.Path(weft.state, "names/pid").read_text())
    except (OSError, ValueError):
        return None


def expect_answers(weft, address, count=20):
    """From now on every question is answered with the address."""
    start = len(answers(weft))
    seen = wait_until(lambda: answers(weft)[start:] if len(answers(weft)) > start + count else None, "names are asked for")
    assert set(seen) == {address}


@pytest.mark.parametrize("user", USERS, indirect=True)
def test_names_outlive_the_daemon_and_their_server(mesh):
    address = mesh.json("get", "service", "echo")["spec"]["clusterIP"]
    wait_until(lambda: address in answers(mesh), "the name is known")

    # The server of names is killed: its questions wait in the sockets, and none fails.
    old = names_pid(mesh)
    os.kill(old, signal.SIGKILL)
    expect_answers(mesh, address)
    server = names_pid(mesh)
    assert server not in (None, old)

    # The daemon is killed: the names go on.
    os.kill(mesh.daemon_pid(), signal.SIGKILL)
    expect_answers(mesh, address)
    assert names_pid(mesh) == server

    # Nobody else can make it do anything: garbage on its socket is passed over.
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(f"{mesh.state}/names/sock")
        for text in (b"\xff" * 600, b"\x03", b"\x05" + b"a" * 300, b"\x07", b"\x01\x09", b"\x06nobody"):
            one.send(text)
        with open("/dev/null") as nothing:
            for text in (b"\x07", b"\x05x", b"\x09\x09"):
                socket.send_fds(one, [text], [nothing.fileno()])
        expect_answers(mesh, address)
    assert names_pid(mesh) == server
    # `down` after that leaves nothing: the fixture looks.


def test_a_new_daemon_takes_the_server_over_and_its_end_ends_it(mesh):
    address = mesh.json("get", "service", "echo")["spec"]["clusterIP"]
    wait_until(lambda: address in answers(mesh), "the name is known")
    server, start = names_pid(mesh), len(answers(mesh))
    os.kill(mesh.daemon_pid(), signal.SIGKILL)
    mesh.run("up", "--detach", f"{folder_of(mesh)}/all.yaml", timeout=60)
    assert names_pid(mesh) == server
    expect_answers(mesh, address)
    # The sockets came back from the server: it is killed, and the next one has them.
    os.kill(server, signal.SIGKILL)
    expect_answers(mesh, address)
    assert set(answers(mesh)[start:]) == {address}
    server = names_pid(mesh)
    mesh.run("down", "--now", "--keep-state", timeout=60)
    wait_until(lambda: not pathlib.Path(f"/proc/{server}").exists(), "the server of names ends with its daemon")
    mesh.run("up", "--detach", f"{folder_of(mesh)}/all.yaml", timeout=60)
    address = mesh.json("get", "service", "echo")["spec"]["clusterIP"]
    wait_until(lambda: address in answers(mesh), "names are answered after a restart")


def test_the_server_is_for_daemons_only():
    done = subprocess.run([PROGRAM, "serve-names"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and "weft serve" in done.stderr
