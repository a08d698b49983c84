"""Makes OCI images by hand, and serves them as registries and engines do: well, or badly where a test wants that."""

import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import socketserver
import subprocess
import tarfile
import threading
import urllib.parse
import urllib.request

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zstd(data):
    import zstandard
    return zstandard.ZstdCompressor().compress(data)


PACKERS = {"gzip": gzip.compress, "zstd": zstd, "": lambda data: data}


def entry(name, data=None, **facts):
    """A tar's entry: a file with `data`, else what `facts` say (`type`, `linkname`, `mode`, `uid`, `pax_headers`, ...)."""
    info = tarfile.TarInfo(name)
    info.mtime = 1_700_000_000
    info.mode = 0o644 if data is not None else 0o755
    info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.size = len(data or b"")
    for key, value in facts.items():
        setattr(info, key, value)
    return info, data


def tar(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


class Image:
    """An image as its blobs: layers are plain tars, packed as `packing` says."""

    def __init__(self, *layers, packing="gzip", platform=("linux", "amd64"), **config):
        self.tars = layers
        self.packed = [PACKERS[packing](layer) for layer in layers]
        self.config = json.dumps({
            "architecture": platform[1], "os": platform[0], "created": "2026-01-02T03:04:05Z", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }).encode()
        kind = LAYER + (f"+{packing}" if packing else "")
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": kind, "digest": digest(blob), "size": len(blob)} for blob in self.packed],
        }).encode()
        self.id = digest(self.config)
        self.platform = {"os": platform[0], "architecture": platform[1]}

    @property
    def blobs(self):
        return {digest(blob): blob for blob in [self.config, self.manifest, *self.packed]}

    def descriptor(self, **annotations):
        return {
            "mediaType": MANIFEST, "digest": digest(self.manifest), "size": len(self.manifest), "platform": self.platform,
            "annotations": annotations,
        }


def index_of(*images):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image.descriptor() for image in images]}).encode()


def write_layout(folder, names):
    """An OCI layout: images by their names (`org.opencontainers.image.ref.name`)."""
    folder = pathlib.Path(folder)
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entries = []
    for name, image in names.items():
        for sum_, data in image.blobs.items():
            (blobs / sum_[7:]).write_bytes(data)
        entries.append(image.descriptor(**{"org.opencontainers.image.ref.name": name}))
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    return folder


def docker_archive(image, *tags):
    """What `docker save` writes, with a layer that stands in it twice as a link."""
    names = [f"{number}/layer.tar" for number in range(len(image.tars))]
    manifest = [{"Config": image.id[7:] + ".json", "RepoTags": list(tags), "Layers": names}]
    entries = [entry(image.id[7:] + ".json", image.config), entry("manifest.json", json.dumps(manifest).encode())]
    seen = {}
    for name, layer in zip(names, image.tars):
        if layer in seen:
            entries.append(entry(name, type=tarfile.SYMTYPE, linkname=f"../{seen[layer]}"))
        else:
            entries.append(entry(name, layer))
            seen[layer] = name
    return tar(*entries)


def folder_archive(folder):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(folder, arcname=".")
    return out.getvalue()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """Clients that go away, or speak plainly to TLS, are what some tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def give(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def serving(handler, context=None):
    server = Server(("127.0.0.1", 0), handler)
    if context:
        # The handshake belongs to the thread of the connection: one that fails keeps nobody waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Registry:
    """A registry that wants tokens (`user` and `password` get one), and misbehaves by the digest of a blob:
    `corrupt`, `cut` (the connection ends in the middle, once), `long` (more than was said), `away` (a redirect), `stuck` (it never ends)."""

    def __init__(self, user=None, password=None):
        self.blobs, self.tags, self.requests, self.trouble = {}, {}, [], {}
        self.user, self.password = user, password
        self.released = threading.Event()
        self.started = threading.Event()
        self.elsewhere = None

    def push(self, name, image):
        self.blobs.update(image.blobs)
        self.tags[name] = (MANIFEST, image.manifest)
        return image

    def push_index(self, name, *images):
        for image in images:
            self.blobs.update(image.blobs)
        self.tags[name] = (INDEX, index_of(*images))

    @contextlib.contextmanager
    def serve(self, context=None):
        registry = self

        class Elsewhere(Handler):
            def do_GET(self):
                registry.requests.append(("elsewhere", self.path, dict(self.headers)))
                self.give(200, registry.blobs[self.path.strip("/")])

        class Here(Handler):
            def do_GET(self):
                registry.requests.append((self.command, self.path, dict(self.headers)))
                registry.answer(self)

            do_HEAD = do_GET

        with serving(Elsewhere) as self.elsewhere, serving(Here, context) as self.port:
            try:
                yield f"127.0.0.1:{self.port}"
            finally:
                self.released.set()

    def token(self, caller):
        given = caller.headers.get("Authorization", "")
        wanted = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(caller.path).query)
        if given != wanted or query.get("service") != ["test"] or not query.get("scope", [""])[0].endswith(":pull"):
            return caller.give(401, b'{"details":"no"}')
        caller.give(200, json.dumps({"token": "ticket-for-" + query["scope"][0]}).encode())

    def answer(self, caller):
        path = urllib.parse.unquote(caller.path)
        if path.startswith("/token"):
            return self.token(caller)
        parts = path.strip("/").split("/")
        name = "/".join(parts[1:-2])
        if self.user and caller.headers.get("Authorization") != f"Bearer ticket-for-repository:{name}:pull":
            scope = f',scope="repository:{name}:pull"' if name else ""
            challenge = f'Bearer realm="http://127.0.0.1:{self.port}/token",service="test"{scope}'
            return caller.give(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', WWW_Authenticate=challenge)
        if path == "/v2/":
            return caller.give(200, b"{}")
        kind, word = parts[-2:]
        if kind == "manifests":
            found = self.tags.get(f"{name}:{word}") or ((MANIFEST, self.blobs[word]) if word in self.blobs else None)
            if not found:
                return caller.give(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
            return caller.give(200, found[1], Content_Type=found[0])
        if word not in self.blobs:
            return caller.give(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}')
        self.blob(caller, word, self.blobs[word])

    def blob(self, caller, word, data):
        trouble = self.trouble.get(word)
        start = int(caller.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        if trouble == "away":
            return caller.give(307, Location=f"http://127.0.0.1:{self.elsewhere}/{word}")
        if trouble == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if trouble == "long":
            data += b"more"
        body = data[start:]
        caller.send_response(206 if start else 200)
        caller.send_header("Content-Length", str(len(body)))
        if start:
            caller.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        caller.end_headers()
        if trouble in ("cut", "stuck") and start == 0:
            caller.wfile.write(body[: len(body) // 2])
            caller.wfile.flush()
            self.started.set()
            if trouble == "stuck":
                self.released.wait(60)
            else:
                self.trouble.pop(word)
            caller.close_connection = True
            return
        caller.wfile.write(body)


@contextlib.contextmanager
def real_registry(folder, user, password):
    """Debian's docker-registry with one user, on a port of its own choice."""
    import crypt
    folder = pathlib.Path(folder)
    secrets = folder / "htpasswd"
    secrets.write_text(f"{user}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
    settings = folder / "registry.yml"
    settings.write_text(f"""\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http: {{addr: "127.0.0.1:0"}}
auth: {{htpasswd: {{realm: test, path: {secrets}}}}}
""")
    process = subprocess.Popen(
        ["docker-registry", "serve", str(settings)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        address = None
        for line in process.stderr:
            if "listening on" in line:
                address = line.split("listening on ")[1].split('"')[0].split(",")[0].strip()
                break
        assert address, "docker-registry did not start"
        # Nobody reads what it says from now on; it must not wait for that.
        threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
        yield address
    finally:
        process.kill()
        process.wait()


def push(address, name, image, user, password):
    """Puts an image into a real registry."""
    path, tag = name.split(":")
    secret = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def call(method, url, data=None, **fields):
        request = urllib.request.Request(url, data=data, method=method, headers={**secret, **fields})
        return urllib.request.urlopen(request, timeout=30)

    for sum_, data in image.blobs.items():
        if data == image.manifest:
            continue
        place = call("POST", f"http://{address}/v2/{path}/blobs/uploads/", b"").headers["Location"]
        join = "&" if "?" in place else "?"
        call("PUT", f"{place}{join}digest={urllib.parse.quote(sum_)}", data, **{"Content-Type": "application/octet-stream"})
    call("PUT", f"http://{address}/v2/{path}/manifests/{tag}", image.manifest, **{"Content-Type": MANIFEST})


@contextlib.contextmanager
def engine(path, name, image):
    """The API socket of an engine that has one image."""
    asked = []

    class Engine(Handler):
        def do_GET(self):
            asked.append(urllib.parse.unquote(self.path))
            target = asked[-1]
            if target == "/_ping":
                return self.give(200, b"OK", Api_Version="1.44")
            if target == f"/v1.44/images/{name}/json":
                answer = {"Id": image.id, "Os": "linux", "Architecture": "amd64"}
                return self.give(200, json.dumps(answer).encode())
            if target == f"/v1.44/images/{name}/get":
                return self.give(200, docker_archive(image, name))
            self.give(404, b'{"message":"no such image"}')

        def address_string(self):
            return "unix"

    class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

        def get_request(self):
            request, _ = super().get_request()
            return request, ("unix", 0)

    server = UnixServer(str(path), Engine)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def tree(folder):
    """What lies below a folder: kind, mode, owner, content or target, attributes; for comparison."""
    found = {}
    folder = pathlib.Path(folder)
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else facts.st_rdev
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        found[str(path.relative_to(folder))] = (oct(facts.st_mode), facts.st_uid, facts.st_gid, content, int(facts.st_mtime), attributes)
    return found
