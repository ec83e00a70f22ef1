"""Whose CPU time is whose."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from chatcore.loadtest.watch import Watch

PARENT = """
import subprocess, sys
waits = [sys.executable, "-c", "input()"]
children = [subprocess.Popen([*waits, *name], stdin=subprocess.PIPE) for name in
            (["chatcore.models.server"], ["/somewhere/secantusd-py", "--config"], ["a picture"], ["another"])]
print("up", flush=True)
input()
for child in children:
    child.communicate(b"end")
"""


@pytest.fixture
def server() -> Iterator[psutil.Process]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    yield psutil.Process(parent.pid)
    parent.communicate("end\n", timeout=20)


def test_the_database_the_models_and_the_other_children_are_told_apart(server: psutil.Process) -> None:
    watch = Watch([server], [])
    assert {role: len(found) for role, found in watch._groups.items()} == {
        "load": 0, "server": 1, "models": 1, "database": 1, "helpers": 2
    }  # fmt: skip
    read = watch.read()
    assert set(read) == {"load", "server", "models", "database", "helpers"}
    assert read["database"].rss_bytes > 0
    assert read["models"].rss_bytes > 0
    assert read["load"].rss_bytes == 0


def test_servers_that_cannot_be_seen_are_missing() -> None:
    assert set(Watch([], []).read()) == {"load"}
