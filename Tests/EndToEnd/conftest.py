"""The fixtures of the end-to-end tests. Everything runs for real: the built programs, namespaces, sockets, clients."""

import contextlib
import os
import shutil
import subprocess

import pytest

from weftkit import HOUSE, USERS, Weft, new_folder


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.slow if "soak" in item.name else pytest.mark.ordinary)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than half a minute")
    config.addinivalue_line("markers", "ordinary: everything else")
    config.addinivalue_line("markers", "one_worker: counts what one worker does; others run with WEFT_WORKERS too, where that is set")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("one_worker"):
            patch.setenv("WEFT_WORKERS", "1")
        yield


@pytest.fixture
def user(request):
    """Who runs the programs; a test for several says `@pytest.mark.parametrize("user", USERS, indirect=True)`."""
    return getattr(request, "param", USERS[0])


@pytest.fixture
def folder(user):
    """A short temporary folder: Unix sockets live in it."""
    path = new_folder(user)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def weft(folder, user):
    """A Weft with a state directory of its own; stopped afterwards, and nothing may be left."""
    with Weft(folder / "state", user).until_down("--now") as program:
        yield program


@pytest.fixture(scope="session")
def needs_namespaces():
    if os.geteuid() != 0 and subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode:
        pytest.skip("needs root or user namespaces")


@pytest.fixture(scope="module", params=USERS)
def shop(request, needs_namespaces):
    """The example shop, running as root and as an ordinary user; shared by the tests of a module."""
    with running_shop(request.param) as program:
        yield program


@contextlib.contextmanager
def running_shop(user, *options):
    path = new_folder(user)
    program = Weft(path / "state", user)
    with program.until_down():
        program.run("up", "--detach", *options, str(HOUSE / "examples/shop"), timeout=90)
        yield program
