"""A recorded history of what clients did to ConfigMaps and were told, and the check that it could have happened one by one.

Clients create, replace (with the revision that they read, or an older one), delete, get, list (whole and in pages) and watch at the
same time. Every write carries a name of its own, and every answer is kept with the moments of asking and of being told. The check
puts the writes of each object in the order of their revisions and asks:

- writes: does each follow from the one before (compare-and-set), and does nobody who asked after another was told get an earlier
  revision?
- reads and refusals: is what was told true of the object at some moment between asking and being told?
- lists: do they hold exactly what was there at the revision that they name, pages of one list together too?
- watches: do they hold every change behind the revision that they started from, once, in order, and rightly named?

A daemon that is killed leaves writes of which nobody knows: they count when anybody saw them.
"""

import collections
import http.client
import json
import random
import socket
import threading
import time

INFINITY = float("inf")


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("weft", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Recorder:
    """Clients with their threads; `operations` and `watches` hold what they met."""

    def __init__(self, path, clients=6, watchers=2, keys=5, namespace="kube-public", seed=None):
        self.path = path
        self.root = f"/api/v1/namespaces/{namespace}/configmaps"
        self.keys = [f"key-{number}" for number in range(keys)]
        self.seed = seed if seed is not None else random.randrange(1 << 30)
        self.operations = []
        self.watches = []
        self.errors = []
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.clients = [threading.Thread(target=self.guarded, args=(self.work, number)) for number in range(clients)]
        self.watchers = [threading.Thread(target=self.guarded, args=(self.watch, number)) for number in range(watchers)]
        self.last_revision = 0

    def start(self, steps):
        self.steps = steps
        for thread in self.watchers + self.clients:
            thread.start()

    def done(self):
        return len(self.operations)

    def finish(self, seconds=60):
        """Waits for the clients, then until the watchers have seen the last write; returns what was recorded."""
        end = time.monotonic() + seconds
        for thread in self.clients:
            thread.join(max(end - time.monotonic(), 0.1))
        # A last write and a last list: whoever has seen these has seen everything.
        connection = Connection(self.path)
        self.request(connection, {"op": "create", "key": "last"})
        self.request(connection, {"op": "list"})
        self.last_revision = self.operations[-1]["revision"]
        self.ending.set()
        for thread in self.watchers:
            thread.join(max(end - time.monotonic(), 0.1))
        alive = [thread for thread in self.clients + self.watchers if thread.is_alive()]
        assert not alive and not self.errors, f"{len(alive)} clients did not end; {self.errors} (seed {self.seed})"
        return self.operations, self.watches

    def guarded(self, body, number):
        try:
            body(number)
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def work(self, number):
        chance = random.Random(self.seed * 1000 + number)
        connection, known = Connection(self.path), {}
        for step in range(self.steps):
            key = chance.choice(self.keys)
            operation = {"key": key, "client": number}
            draw = chance.random()
            if draw < 0.2:
                operation["op"] = "create"
            elif draw < 0.55:
                operation["op"] = "replace"
                # Mostly what was read last, which others may have changed meanwhile.
                operation["expects"] = known.get(key)
                if operation["expects"] is None:
                    operation["op"] = "get"
            elif draw < 0.65:
                operation["op"] = "delete"
                operation["expects"] = known.get(key) if chance.random() < 0.5 else None
            elif draw < 0.85:
                operation["op"] = "get"
            else:
                operation["op"] = "list"
                operation["limit"] = chance.choice([0, 0, 2])
            if not self.request(connection, operation):
                connection.close()
                connection = self.reconnect()
            if operation.get("item"):
                known[key] = operation["item"]["revision"]

    def reconnect(self):
        end = time.monotonic() + 30
        while True:
            connection = Connection(self.path)
            try:
                connection.connect()
                return connection
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def request(self, connection, operation):
        """One operation; false when nobody knows what became of it."""
        name = operation["op"]
        key = operation.get("key")
        identity = f"{threading.get_ident()}-{random.getrandbits(60)}"
        operation["identity"] = identity
        body = {"metadata": {"name": key}, "data": {"identity": identity}}
        if name == "replace":
            body["metadata"]["resourceVersion"] = str(operation["expects"])
        elif name == "delete":
            body = {"preconditions": {"resourceVersion": str(operation["expects"])}} if operation["expects"] else None
        method, path = {
            "create": ("POST", self.root), "replace": ("PUT", f"{self.root}/{key}"), "delete": ("DELETE", f"{self.root}/{key}"),
            "get": ("GET", f"{self.root}/{key}"), "list": ("GET", self.root),
        }[name]
        text = json.dumps(body) if body and method != "GET" else None
        operation["begin"] = time.monotonic()
        try:
            if name == "list":
                status, answer = self.list(connection, operation.get("limit", 0))
            else:
                status, answer = self.call(connection, method, path, text)
        except (OSError, http.client.HTTPException, ValueError):
            operation.update(status=None, end=INFINITY)
            with self.lock:
                self.operations.append(operation)
            return False
        operation["end"] = time.monotonic()
        operation["status"] = status
        if name == "list":
            if status == 200:
                operation["revision"] = int(answer["metadata"]["resourceVersion"])
                operation["items"] = {item["metadata"]["name"]: seen(item) for item in answer["items"]}
        elif status in (200, 201):
            operation["item"] = seen(answer) if answer.get("kind") == "ConfigMap" else None
            operation["uid"] = operation["item"]["uid"] if operation["item"] else answer["details"]["uid"]
        with self.lock:
            self.operations.append(operation)
        # A daemon that is ending refuses: that says nothing of any object.
        return status != 503

    def list(self, connection, limit):
        whole, rest = None, ""
        while True:
            query = f"?limit={limit}" + (f"&continue={rest}" if rest else "") if limit else ""
            status, answer = self.call(connection, "GET", self.root + query)
            if status != 200:
                return status, answer
            if whole is None:
                whole = answer
            else:
                assert answer["metadata"]["resourceVersion"] == whole["metadata"]["resourceVersion"]
                whole["items"] += answer["items"]
            rest = answer["metadata"].get("continue")
            if not rest:
                return 200, whole

    @staticmethod
    def call(connection, method, path, text=None):
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def watch(self, number):
        """Lists and watches, goes on where it was when the connection breaks, and lists again when that is too long ago."""
        revision, record = None, None
        while True:
            try:
                connection = self.reconnect()
                if revision is None:
                    status, answer = self.call(connection, "GET", self.root)
                    if status != 200:
                        continue
                    revision = int(answer["metadata"]["resourceVersion"])
                    record = {"from": revision, "events": []}
                    self.watches.append(record)
                    connection = self.reconnect()
                status = self.follow(connection, revision, record)
                if status == 410:
                    revision = None
                    continue
                if status is None:
                    return
            except (OSError, http.client.HTTPException, ValueError):
                pass
            if record["events"]:
                revision = record["events"][-1]["revision"]
            if self.ending.is_set() and (revision or 0) >= self.last_revision:
                return

    def follow(self, connection, revision, record):
        """Reads events until the connection ends or everything was seen (None)."""
        connection.request("GET", f"{self.root}?watch=true&resourceVersion={revision}")
        answer = connection.getresponse()
        if answer.status != 200:
            answer.read()
            return answer.status
        connection.sock.settimeout(0.2)
        held = b""
        while True:
            if self.ending.is_set():
                last = record["events"][-1]["revision"] if record["events"] else record["from"]
                if last >= self.last_revision:
                    return None
            try:
                piece = answer.read1(1 << 16)
            except TimeoutError:
                # A reader that was interrupted cannot go on: the rest is asked for anew.
                return 0
            if not piece:
                return 0
            held += piece
            *lines, held = held.split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return event["object"]["code"]
                record["events"].append({"type": event["type"], **seen(event["object"])})


def seen(item):
    return {
        "key": item["metadata"]["name"], "revision": int(item["metadata"]["resourceVersion"]), "uid": item["metadata"]["uid"],
        "identity": item.get("data", {}).get("identity"),
    }


class Version:
    """The state of one object from one write to the next; `identity` is None when it is not there."""

    def __init__(self, revision, identity, uid, begin, end, follows=None):
        self.revision, self.identity, self.uid, self.begin, self.end, self.follows = revision, identity, uid, begin, end, follows


def check(operations, watches):
    """What of a history cannot have happened: a list of sentences, empty for a good one."""
    found = []
    writes, deletions = collect(operations, watches, found)
    unknown = collections.defaultdict(lambda: {"create": [], "delete": []})
    for operation in operations:
        if operation["op"] in ("create", "delete") and operation["status"] is None:
            unknown[operation["key"]][operation["op"]].append(operation["begin"])
    chains = {key: chain(key, versions, deletions.get(key, {}), unknown[key], found) for key, versions in writes.items()}
    check_order(operations, chains, found)
    seen_writes = {version.identity for versions in chains.values() for version in versions}
    unseen_writes = collections.defaultdict(list)
    for operation in operations:
        if operation["op"] in ("create", "replace") and operation["status"] is None and operation["identity"] not in seen_writes:
            unseen_writes[operation["key"]].append(operation["begin"])
    for operation in operations:
        if operation["status"] is None or operation["status"] == 503:
            continue
        if operation["status"] == 409 and min(unseen_writes[operation.get("key")], default=INFINITY) < operation["end"]:
            # It may have met a write of which nobody was told, and which was gone before anybody saw it.
            continue
        if operation["op"] == "list":
            check_list(operation, chains, found)
        else:
            check_answer(operation, chains.get(operation["key"], [Version(0, None, None, 0, 0)]), found)
    unseen = {uid for key in deletions for uid in deletions[key] if unknown[key]["create"]}
    for watch in watches:
        check_watch(watch, chains, unseen, found)
    return found


def collect(operations, watches, found):
    """Every write that took place, by key: from answers, and from what anybody saw."""
    asked = {operation["identity"]: operation for operation in operations}
    writes, deletions = collections.defaultdict(dict), collections.defaultdict(dict)

    def note(item):
        operation = asked.get(item["identity"])
        if operation is None:
            return found.append(f"{item['key']} holds {item['identity']}, which nobody wrote")
        other = writes[item["key"]].get(item["revision"])
        if other and other.identity != item["identity"]:
            found.append(f"revision {item['revision']} of {item['key']} is two things")
        writes[item["key"]][item["revision"]] = Version(
            item["revision"], item["identity"], item["uid"], operation["begin"], operation["end"],
            operation.get("expects") if operation["op"] == "replace" else "nothing",
        )
        if operation["status"] in (409, 404, 422):
            found.append(f"{operation['op']} of {item['key']} was refused with {operation['status']}, but took place")

    for operation in operations:
        if operation["op"] in ("create", "replace", "get") and operation.get("item"):
            note(operation["item"])
        for item in operation.get("items", {}).values():
            note(item)
        if operation["op"] == "delete" and operation.get("uid"):
            entry = deletions[operation["key"]].setdefault(operation["uid"], {"revision": None, "begin": 0, "end": INFINITY})
            entry.update(begin=operation["begin"], end=operation["end"], expects=operation.get("expects"))
    for watch in watches:
        for event in watch["events"]:
            if event["type"] == "DELETED":
                entry = deletions[event["key"]].setdefault(event["uid"], {"revision": None, "begin": 0, "end": INFINITY})
                if entry["revision"] not in (None, event["revision"]):
                    found.append(f"{event['key']} {event['uid']} was deleted twice")
                entry["revision"] = event["revision"]
            else:
                note(event)
    return writes, deletions


def chain(key, versions, deletions, unknown, found):
    """The states of one object in order; a deletion whose revision nobody saw has None."""
    ordered = [Version(0, None, None, 0, 0)]
    deletions = dict(deletions)
    for version in sorted(versions.values(), key=lambda one: one.revision):
        last = ordered[-1]
        if last.identity is not None and last.uid != version.uid:
            gone = deletions.pop(last.uid, None)
            if gone is None:
                # Deleted by a daemon that was killed before anybody was told.
                gone = {"revision": None, "begin": 0, "end": INFINITY}
            append_deletion(key, ordered, gone, found)
            last = ordered[-1]
        if version.follows == "nothing":
            if last.identity is not None:
                found.append(f"{key} was created at {version.revision} while it was there")
        elif last.identity is None or last.revision != version.follows:
            found.append(f"{key} was replaced at {version.revision}, expecting {version.follows}; it was at {last.revision}")
        ordered.append(version)
    if ordered[-1].uid in deletions and ordered[-1].identity is not None:
        append_deletion(key, ordered, deletions.pop(ordered[-1].uid), found)
    if unknown["delete"] and ordered[-1].identity is not None:
        # A deletion of which nobody was told may have been the last thing.
        ordered.append(Version(None, None, ordered[-1].uid, min(unknown["delete"]), INFINITY))
    # A creation of which nobody was told may have been deleted before anybody saw it; each only once.
    for uid in list(deletions)[len(unknown["create"]):]:
        found.append(f"{key} {uid} was deleted, but never was there")
    return ordered


def append_deletion(key, ordered, gone, found):
    last = ordered[-1]
    if gone.get("expects") and gone["expects"] != last.revision:
        found.append(f"{key} was deleted expecting {gone['expects']}; it was at {last.revision}")
    if gone["revision"] is not None and gone["revision"] <= last.revision:
        found.append(f"{key} was deleted at {gone['revision']}, before its change at {last.revision}")
    ordered.append(Version(gone["revision"], None, last.uid, gone["begin"], gone["end"]))


def check_order(operations, chains, found):
    """Whoever asked after another was told is behind it: for writes of all objects, and for the revisions of lists."""
    begun = {}
    for versions in chains.values():
        for version in versions:
            if version.identity:
                begun[version.revision] = version
    marks = [(version.end, version.revision) for version in begun.values() if version.end < INFINITY]
    marks += [(operation["end"], operation["revision"]) for operation in operations if operation.get("revision")]
    marks.sort()
    asked = [(version.begin, version.revision, "a write") for version in begun.values()]
    asked += [(operation["begin"], operation["revision"], "a list") for operation in operations if operation.get("revision")]
    asked.sort()
    place, newest = 0, 0
    for begin, revision, what in asked:
        while place < len(marks) and marks[place][0] < begin:
            newest = max(newest, marks[place][1])
            place += 1
        if revision < newest:
            found.append(f"{what} got revision {revision} although {newest} had been told before it was asked for")


def check_answer(operation, versions, found):
    """What was told must have been true at a moment between asking and being told."""
    status, expects = operation["status"], operation.get("expects")
    name = operation["op"]
    if name == "get" and status == 200:
        fits = lambda version: version.revision == operation["item"]["revision"] and version.identity == operation["item"]["identity"]
    elif status == 404:
        fits = lambda version: version.identity is None
    elif status == 409 and name == "create":
        fits = lambda version: version.identity is not None
    elif status == 409:
        fits = lambda version: version.identity is not None and version.revision != expects
    elif status in (200, 201):
        return
    else:
        return found.append(f"{name} of {operation['key']} was answered with {status}")
    for place, version in enumerate(versions):
        until = versions[place + 1].end if place + 1 < len(versions) else INFINITY
        if fits(version) and version.begin <= operation["end"] and until >= operation["begin"]:
            return
    found.append(f"{name} of {operation['key']} was told {status} {operation.get('item')}, which was true at no moment of its asking")


def state(versions, revision):
    """What was there at a revision: the names of all that may be."""
    may = [None]
    for version in versions[1:]:
        if version.revision is None:
            # Deleted, somewhere before the next.
            may = may + [None]
        elif version.revision <= revision:
            may = [version.identity]
        else:
            break
    return may


def check_list(operation, chains, found):
    if operation["status"] == 410 and operation.get("limit"):
        return
    if operation["status"] != 200:
        return found.append(f"a list was answered with {operation['status']}")
    for key, versions in chains.items():
        item = operation["items"].get(key)
        may = state(versions, operation["revision"])
        if (item["identity"] if item else None) not in may:
            found.append(f"a list at {operation['revision']} says {key} is {item}; it was {may[0]}")


def check_watch(watch, chains, unseen, found):
    last = watch["from"]
    for event in watch["events"]:
        if event["revision"] <= last:
            found.append(f"a watch went from {last} to {event['revision']}")
        last = event["revision"]
    got = {(event["key"], event["revision"]): event for event in watch["events"]}
    for key, versions in chains.items():
        for before, version in zip(versions, versions[1:]):
            if version.revision is None or not watch["from"] < version.revision <= last:
                continue
            event = got.pop((key, version.revision), None)
            if event is None:
                found.append(f"a watch from {watch['from']} to {last} missed {key} at {version.revision}")
                continue
            right = "DELETED" if version.identity is None else "ADDED" if before.identity is None else "MODIFIED"
            if event["type"] != right or (version.identity and event["identity"] != version.identity):
                found.append(f"a watch called {key} at {version.revision} {event['type']}, it was {right}")
    for (key, revision), event in got.items():
        # The end of one whose beginning nobody saw.
        if event["type"] != "DELETED" or event["uid"] not in unseen:
            found.append(f"a watch told of {key} at {revision}, which did not happen")
