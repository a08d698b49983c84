"""The fixtures of the end-to-end tests. Everything runs for real: the built programs, namespaces, sockets, clients."""

import os
import pathlib
import shutil
import tempfile

import pytest

from weftkit import ROOT, Weft, leftovers


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.slow if "soak" in item.name else pytest.mark.ordinary)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than half a minute")
    config.addinivalue_line("markers", "ordinary: everything else")


@pytest.fixture
def folder():
    """A short temporary folder: Unix sockets live in it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="weft-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def weft(folder):
    """A Weft with a state directory of its own; stopped afterwards, and nothing may be left."""
    program = Weft(folder / "state")
    yield program
    program.run("down", "--now", timeout=60, check=False)
    left = leftovers(folder)
    for process in left.processes:
        os.kill(process, 9)
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session")
def needs_namespaces():
    if os.geteuid() != 0:
        pytest.skip("needs root or user namespaces")


@pytest.fixture(scope="module")
def shop():
    """The example shop, running; shared by the tests of a module."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="weft-", dir="/tmp"))
    program = Weft(path / "state")
    try:
        program.run("up", "--detach", str(ROOT / "examples/shop"), timeout=90)
        yield program
    finally:
        program.run("down", timeout=60, check=False)
        left = leftovers(path)
        for process in left.processes:
            os.kill(process, 9)
        shutil.rmtree(path, ignore_errors=True)
    assert not left, f"left behind: {left}"
