#!/usr/bin/env python3
"""Records what concurrent clients are told, with the daemon killed again and again, and checks that it could have happened.

    bench/stress/history.py [SECONDS]        60 by default; WEFT_BUILD=debug takes the debug build

One history after another, each with its own daemon, chance and kills. What cannot have happened is printed with the seed.
"""

import pathlib
import random
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Tests" / "EndToEnd"))
from historykit import Recorder, check
from test_history import served
from weftkit import new_folder, wait_until


def one_history(seed):
    """Sentences of what cannot have happened, and the number of operations."""
    chance, folder = random.Random(seed), new_folder()
    try:
        with served(folder) as (weft, start, kill):
            recorder = Recorder(f"{weft.state}/weft.sock", clients=chance.randint(2, 10), keys=chance.randint(1, 8), seed=seed)
            recorder.start(steps=chance.randint(100, 600))
            for _ in range(chance.randint(1, 4)):
                wanted = recorder.done() + chance.randint(50, 500)
                wait_until(lambda: recorder.done() >= wanted or not any(t.is_alive() for t in recorder.clients), "work is done", 60)
                kill()
                start()
            operations, watches = recorder.finish(120)
        return check(operations, watches), len(operations)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 60)
    histories = operations = failures = 0
    while time.monotonic() < end:
        seed = random.randrange(1 << 30)
        found, count = one_history(seed)
        histories, operations = histories + 1, operations + count
        for sentence in found[:10]:
            print(f"seed {seed}: {sentence}")
        failures += bool(found)
    print(f"{histories} histories of {operations} operations, {failures} of them impossible")
    sys.exit(1 if failures else 0)


main()
