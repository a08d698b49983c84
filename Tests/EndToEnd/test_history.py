"""What concurrent clients were told, with a daemon killed in the middle, could have happened one by one (`historykit.py`)."""

import contextlib
import copy
import os
import signal

from historykit import Recorder, check
from test_backup import alive
from weftkit import Weft, wait_until


@contextlib.contextmanager
def served(folder):
    """A daemon that can be killed and started again, without a pod."""
    weft = Weft(folder / "state")
    running = []

    def start():
        running.append(weft.start("serve"))
        wait_until(lambda: os.path.exists(f"{weft.state}/weft.sock") and answers(weft), "the daemon answers")

    def kill():
        pid = weft.daemon_pid()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "the daemon is dead")

    start()
    try:
        yield weft, start, kill
    finally:
        weft.run("down", "--now", timeout=60, check=False)
        for process in running:
            process.kill()
            process.communicate(timeout=20)


def answers(weft):
    try:
        return weft.api("/version")["major"]
    except (OSError, ValueError):
        return False


def test_a_recorded_history_is_linearizable(folder, needs_namespaces):
    with served(folder) as (weft, start, kill):
        recorder = Recorder(f"{weft.state}/weft.sock")
        recorder.start(steps=120)
        wait_until(lambda: recorder.done() > 250, "the clients are at work")
        kill()
        start()
        operations, watches = recorder.finish()
    assert check(operations, watches) == [], f"seed {recorder.seed}"
    # It was worth it: every kind of operation took place and was refused, and the kill left some unknown or refused.
    met = {(operation["op"], operation["status"]) for operation in operations}
    assert {("create", 201), ("create", 409), ("replace", 200), ("replace", 409), ("delete", 200), ("get", 200), ("list", 200)} <= met
    assert sum(len(watch["events"]) for watch in watches) > 100
    check_the_check(operations, watches)


def check_the_check(operations, watches):
    """A checker that finds nothing is worth nothing: each of these is a history that cannot have happened."""

    def spoiled(spoil):
        spoiled_operations, spoiled_watches = copy.deepcopy(operations), copy.deepcopy(watches)
        spoil(spoiled_operations, spoiled_watches)
        return check(spoiled_operations, spoiled_watches)

    longest = max(range(len(watches)), key=lambda place: len(watches[place]["events"]))

    def miss(_, watches):
        del watches[longest]["events"][40]

    def swap(_, watches):
        events = watches[longest]["events"]
        events[40], events[41] = events[41], events[40]

    def repeat(_, watches):
        watches[longest]["events"].insert(41, watches[longest]["events"][40])

    def lie(_, watches):
        event = next(event for event in watches[longest]["events"] if event["type"] == "MODIFIED")
        event["type"] = "ADDED"

    def stale(operations, _):
        # A late read is told what was told of the same object long before.
        reads = [one for one in operations if one["op"] == "get" and one["status"] == 200]
        early, late = max(
            ((early, late) for early in reads for late in reads if early["key"] == late["key"]),
            key=lambda pair: pair[1]["item"]["revision"] - pair[0]["item"]["revision"],
        )
        late["item"] = early["item"]

    def lost(operations, _):
        # The daemon forgot what it had answered.
        lists = [one for one in operations if one.get("items")]
        lists[-1]["items"].popitem()

    def both(operations, _):
        # Two replaced the same state.
        replaced = [one for one in operations if one["op"] == "replace" and one["status"] == 200]
        replaced[10]["expects"] -= 1

    for spoil in (miss, swap, repeat, lie, stale, lost, both):
        assert spoiled(spoil), f"'{spoil.__name__}' was not found"
