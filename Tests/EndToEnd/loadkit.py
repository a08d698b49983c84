#!/usr/bin/env python3
"""A load client that holds a rate and names the cause of every failed request.

    loadkit.py HOST PORT [--rate 500] [--seconds 60] [--path /] [--hang 5]

Requests start by the clock, whether earlier ones have ended or not: half are GETs on kept connections, a quarter are GETs on a
connection of their own, a quarter are POSTs, kept and fresh in turn. A kept connection that the server closes under a request is a
failure as any other. Prints "begins", ends after --seconds or at SIGTERM, and prints one JSON object.
"""

import argparse
import asyncio
import collections
import json
import signal
import subprocess
import sys
import time

KINDS = ("get-kept", "get-fresh", "get-kept", "post-kept", "get-kept", "get-fresh", "get-kept", "post-fresh")
BODY = b"0123456789" * 20


class Load:
    """The running client; times are seconds of the monotonic clock, which all processes of a machine share."""

    def __init__(self, host, port, rate, seconds, path, hang):
        self.host, self.port, self.rate, self.seconds, self.path, self.hang = host, port, rate, seconds, path, hang
        self.idle, self.failures, self.pods = collections.deque(), [], collections.Counter()
        self.count = self.late = 0
        self.latencies = []
        self.stopping = asyncio.Event()

    async def run(self):
        begin = time.monotonic()
        tasks, number = set(), 0
        while not self.stopping.is_set() and number < self.rate * self.seconds:
            due = begin + number / self.rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -0.1:
                self.late += 1
            task = asyncio.create_task(self.request(KINDS[number % len(KINDS)], number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        took = time.monotonic() - begin
        if tasks:
            await asyncio.wait(tasks, timeout=self.hang + 1)
        while self.idle:
            self.idle.popleft()[1].close()
        return self.report(begin, took)

    def report(self, begin, took):
        order = sorted(self.latencies) or [0]
        return {
            "requests": self.count, "seconds": took, "late": self.late, "begin": begin, "failed": len(self.failures),
            "failures": self.failures[:1000], "pods": self.pods,
            "causes": collections.Counter(f["kind"] + ": " + f["cause"] for f in self.failures),
            "p50_ms": order[len(order) // 2] * 1e3, "p99_ms": order[len(order) * 99 // 100] * 1e3, "max_ms": order[-1] * 1e3,
        }

    async def request(self, kind, number):
        start = time.monotonic()
        stage, reused, pod = ["connect"], False, None
        try:
            cause, pod = await asyncio.wait_for(self.exchange(kind, number, stage), self.hang)
        except (OSError, EOFError, asyncio.TimeoutError, ValueError, IndexError) as error:
            cause = f"{type(error).__name__} {error} at {stage[0]}".replace("  ", " ")
        end = time.monotonic()
        self.count += 1
        self.latencies.append(end - start)
        if pod:
            self.pods[pod] += 1
        if cause:
            self.failures.append({"kind": kind, "cause": cause, "start": start, "end": end, "pod": pod, "number": number})

    async def exchange(self, kind, number, stage):
        kept = kind.endswith("kept")
        if kept and self.idle:
            reader, writer = self.idle.pop()
            stage[0] = "reused connection"
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            stage[0] = "new connection"
        done = False
        try:
            writer.write(self.head(kind, kept, number))
            status, fields, body = await read_answer(reader)
            done = True
        finally:
            if kept and done and fields.get("connection", "").lower() != "close":
                self.idle.append((reader, writer))
            else:
                writer.close()
        if status != 200:
            return f"status {status} ({fields.get('x-weft-reason', body[:80].decode('latin-1'))})", fields.get("x-pod")
        if kind.startswith("post") and not body.endswith(b"%d" % len(BODY)):
            return f"the body came back as {body[:60]!r}", fields.get("x-pod")
        return None, fields.get("x-pod", body[:60].decode("latin-1"))

    def head(self, kind, kept, number):
        post = kind.startswith("post")
        text = f"{'POST' if post else 'GET'} {self.path} HTTP/1.1\r\nHost: {self.host}\r\nX-Number: {number}\r\n"
        text += "" if kept else "Connection: close\r\n"
        text += f"Content-Length: {len(BODY)}\r\n\r\n" if post else "\r\n"
        return text.encode() + (BODY if post else b"")


async def read_answer(reader):
    first = await reader.readline()
    if not first:
        raise EOFError("closed before an answer")
    status, fields = int(first.split()[1]), {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, value = line.decode("latin-1").split(":", 1)
        fields[name.strip().lower()] = value.strip()
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(fields["content-length"]))
    return status, fields, body


class Client:
    """The load client in a process of its own, for tests and measurements."""

    def __init__(self, host, port=80, rate=500, seconds=600, path="/"):
        command = ["/usr/bin/python3", __file__, host, str(port), "--rate", str(rate), "--seconds", str(seconds), "--path", path]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "begins\n"

    def finish(self):
        """Ends the load and returns its report."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        text = self.process.communicate(timeout=700)[0]
        return json.loads(text)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--path", default="/")
    parser.add_argument("--hang", type=float, default=5, help="seconds after which a request counts as failed (5)")
    options = parser.parse_args()
    load = Load(**vars(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stopping.set)
    print("begins", flush=True)
    print(json.dumps(await load.run()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
