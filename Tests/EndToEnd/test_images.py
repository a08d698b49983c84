"""OCI images: from layouts, archives, engines and registries, unpacked as others unpack them, and nothing taken that is damaged."""

import gzip
import json
import os
import pathlib
import shutil
import signal
import ssl
import stat
import subprocess
import tarfile
import urllib.request

import pytest

import imagekit
from imagekit import Image, entry, tar
from weftkit import USERS, Weft, new_folder, wait_until

# What a program with capabilities carries (`man 7 capabilities`): CAP_NET_BIND_SERVICE, permitted and effective.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")

BASE = tar(
    entry("./", mode=0o755), entry("bin/", mode=0o755), entry("bin/run", b"#!/bin/sh\necho hi\n", mode=0o4755, uid=7, gid=8),
    entry("etc/", mode=0o750), entry("etc/gone", b"1"), entry("etc/kept", b"2"),
    entry("lib", type=tarfile.SYMTYPE, linkname="usr/lib", mode=0o777), entry("usr/", mode=0o755), entry("usr/lib/", mode=0o755),
    entry("opaque/", mode=0o755), entry("opaque/below", b"3"), entry("hard", type=tarfile.LNKTYPE, linkname="etc/kept"),
    entry("net", b"4", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}),
)
ABOVE = tar(
    entry("etc/", mode=0o750), entry("etc/.wh.gone", b""), entry("opaque/", mode=0o755), entry("opaque/.wh..wh..opq", b""),
    entry("opaque/above", b"5"), entry("etc/new", b"6"),
)


@pytest.fixture(scope="module")
def image():
    return Image(BASE, ABOVE, Env=["A=1"], Entrypoint=["/bin/run"], Labels={"who": "test"})


@pytest.fixture(scope="module")
def store():
    """A store without a daemon."""
    folder = new_folder()
    yield Weft(folder / "state")
    shutil.rmtree(folder, ignore_errors=True)


def names(weft):
    return weft.run("image", "list", "-o", "name").stdout.split()


def directories(weft, name):
    return [pathlib.Path(path) for path in weft.json("image", "inspect", name)["directories"]]


def scraps(weft):
    """What is in the store without being an image."""
    place = pathlib.Path(weft.state) / "images"
    return [path for name in ("incoming", "trash") for path in (place / name).glob("*")]


def refused(weft, *words, timeout=30):
    done = weft.run("image", *words, check=False, timeout=timeout)
    assert done.returncode == 1, done
    return done.stderr


@pytest.mark.parametrize(("user", "packing"), [(USERS[0], "gzip"), (USERS[0], "zstd"), (USERS[-1], "")], indirect=["user"])
def test_a_layout_is_loaded_and_its_layers_are_overlays(folder, user, packing):
    image = Image(BASE, ABOVE, packing=packing, Cmd=["x"])
    layout = imagekit.write_layout(folder / "layout", {"v1": image, "localhost/other:2": image})
    weft = Weft(folder / "state", user)
    weft.run("image", "load", str(layout))
    assert names(weft) == ["localhost/layout:v1", "localhost/other:2"]
    low, high = directories(weft, "localhost/layout:v1")
    assert (low / "bin/run").read_bytes() == b"#!/bin/sh\necho hi\n"
    assert stat.S_IMODE((low / "bin/run").stat().st_mode) == 0o4755
    assert os.readlink(low / "lib") == "usr/lib"
    assert (low / "hard").stat().st_ino == (low / "etc/kept").stat().st_ino
    assert int((low / "etc/kept").stat().st_mtime) == 1_700_000_000
    assert stat.S_IMODE((low / "etc").stat().st_mode) == 0o750
    whiteout = (high / "etc/gone").lstat()
    assert stat.S_ISCHR(whiteout.st_mode) and whiteout.st_rdev == 0
    if user == "root":
        assert ((low / "bin/run").stat().st_uid, (low / "bin/run").stat().st_gid) == (7, 8)
        assert os.getxattr(low / "net", "security.capability") == CAPABILITY
        assert os.getxattr(high / "opaque", "user.overlay.opaque") == b"y"
    else:
        assert os.getxattr(high / "opaque", "user.overlay.opaque") == b"y"
    assert scraps(weft) == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("umoci"), reason="needs root and umoci")
def test_the_tree_is_what_umoci_unpacks(folder, image):
    layout = imagekit.write_layout(folder / "layout", {"v1": image})
    weft = Weft(folder / "state")
    weft.run("image", "load", str(layout))
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:v1", str(folder / "bundle")], check=True, capture_output=True, timeout=30)
    merged = folder / "merged"
    merged.mkdir()
    lower = ":".join(str(path) for path in reversed(directories(weft, "localhost/layout:v1")))
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,userxattr,lowerdir={lower}", str(merged)], capture_output=True, timeout=30)
    if mounted.returncode:
        pytest.skip("overlays cannot be mounted here")
    try:
        assert imagekit.tree(merged) == imagekit.tree(folder / "bundle/rootfs")
    finally:
        subprocess.run(["umount", str(merged)], check=True, timeout=30)


def test_archives_from_files_and_pipes(store, image, folder):
    twice = Image(BASE, BASE, ABOVE)
    (folder / "saved.tar.gz").write_bytes(gzip.compress(imagekit.docker_archive(twice, "shop/web:1")))
    store.run("image", "load", str(folder / "saved.tar.gz"))
    layout = imagekit.write_layout(folder / "layout", {"a": image, "b": twice})
    (folder / "oci.tar").write_bytes(imagekit.folder_archive(layout))
    out = store.run("image", "load", str(folder / "oci.tar"), "--image", "a", "--name", "shop/cart:1").stdout
    assert out == f"docker.io/shop/cart:1 {image.id}\n"
    archive = imagekit.docker_archive(image, "ignored:1")
    piped = subprocess.run(
        store.command("image", "load", "-", "--name", "piped:1"), input=archive, env=store.environment(), capture_output=True, timeout=30
    )
    assert piped.returncode == 0, piped.stderr
    assert {"docker.io/shop/web:1", "docker.io/shop/cart:1", "docker.io/library/piped:1"} <= set(names(store))
    # The layers are shared: three images, four layers in all.
    assert len(list((pathlib.Path(store.state) / "images/layers").iterdir())) == 4
    assert not list(pathlib.Path(store.state).glob("image-*"))
    (folder / "bad.tar").write_bytes(tar(entry("nothing", b"x")))
    assert "is no image" in refused(store, "load", str(folder / "bad.tar"))
    (folder / "cut.tar").write_bytes(archive[: len(archive) // 2])
    refused(store, "load", str(folder / "cut.tar"))
    lying = Image(tar(entry("said", b"1")))
    lying.tars = (ABOVE,)
    (folder / "lying.tar").write_bytes(imagekit.docker_archive(lying, "lying:1"))
    assert "not what the image's configuration says" in refused(store, "load", str(folder / "lying.tar"))
    assert "docker.io/library/lying:1" not in names(store)


def test_a_registry_with_tokens(store, image):
    registry = imagekit.Registry("user", "secret")
    registry.push("team/app:1", image)
    registry.trouble[imagekit.digest(image.packed[0])] = "away"
    registry.trouble[imagekit.digest(image.packed[1])] = "cut"
    with registry.serve() as address:
        for words in ([], ["--creds", "user:wrong"]):
            assert "does not let us have it" in refused(store, "pull", f"{address}/team/app:1", *words)
        store.run("image", "prune", "--all")
        out = store.run("image", "pull", f"{address}/team/app:1", "--creds", "user:secret")
        assert out.stdout == f"{address}/team/app:1 {image.id}\n"
        assert "does not have it" in refused(store, "pull", f"{address}/team/app:2", "--creds", "user:secret")
    # Who is sent elsewhere takes no token there; what was cut off went on where it ended.
    away = [fields for kind, _, fields in registry.requests if kind == "elsewhere"]
    assert len(away) == 1 and not any(name.lower() == "authorization" for name in away[0])
    assert any(fields.get("Range", "").startswith("bytes=") for _, path, fields in registry.requests if "/blobs/" in path)
    assert [len(list(path.iterdir())) > 0 for path in directories(store, f"{address}/team/app:1")] == [True, True]


def test_damage_is_refused_and_leaves_nothing(store):
    registry = imagekit.Registry()
    layers = {name: registry.push(f"{name}:1", Image(tar(entry(name, name.encode() * 1000)))) for name in ("corrupt", "long", "fine")}
    for name in ("corrupt", "long"):
        registry.trouble[imagekit.digest(layers[name].packed[0])] = name
    wrong = registry.push("text:1", Image(tar(entry("f", b"text"))))
    registry.blobs[wrong.id] = wrong.config + b" "
    windows = Image(tar(entry("f", b"w")), platform=("windows", "amd64"))
    registry.push_index("windows:1", windows)
    registry.push_index("list:1", windows, layers["fine"])
    with registry.serve() as address:
        for name, word in {"corrupt": "damaged layer", "long": "more than the", "text": "damaged blob", "windows": "is not there for linux/amd64"}.items():
            assert word in refused(store, "pull", f"{address}/{name}:1"), name
        store.run("image", "pull", f"{address}/list:1")
        assert f"{address}/list:1" in names(store)
        assert not any(f"{address}/{name}:1" in names(store) for name in ("corrupt", "long", "text", "windows"))
    assert scraps(store) == []
    assert "docker.io" not in refused(store, "pull", f"{address}/gone:1")


def test_debians_registry(store, image, folder):
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    with imagekit.real_registry(folder, "user", "secret") as address:
        imagekit.push(address, "team/app:1", image, "user", "secret")
        assert "does not let us have it" in refused(store, "pull", f"{address}/team/app:1")
        (folder / "auth.json").write_text(json.dumps({"auths": {address: {"auth": "dXNlcjpzZWNyZXQ="}}}))
        done = subprocess.run(
            store.command("image", "pull", f"{address}/team/app:1"), capture_output=True, text=True, timeout=30,
            env={**store.environment(), "REGISTRY_AUTH_FILE": str(folder / "auth.json")},
        )
        assert done.returncode == 0, done.stderr
    assert store.json("image", "inspect", f"{address}/team/app:1")["manifest"] == imagekit.digest(image.manifest)


def test_a_kill_amid_a_pull_leaves_nothing(store):
    registry = imagekit.Registry()
    image = registry.push("big:1", Image(tar(entry("big", os.urandom(100_000)))))
    registry.trouble[imagekit.digest(image.packed[0])] = "stuck"
    with registry.serve() as address:
        pull = store.start("image", "pull", f"{address}/big:1")
        assert registry.started.wait(30)
        assert scraps(store) != []
        pull.send_signal(signal.SIGKILL)
        pull.communicate(timeout=30)
        assert f"{address}/big:1" not in names(store)
        assert scraps(store) == []
        registry.trouble.clear()
        store.run("image", "pull", f"{address}/big:1")
        assert f"{address}/big:1" in names(store)


def test_names_go_and_images_with_their_last(store, folder):
    image = Image(tar(entry("only-here", b"x")))
    layout = imagekit.write_layout(folder / "layout", {"a/b:1": image, "a/b:2": image})
    store.run("image", "load", str(layout))
    place = directories(store, "a/b:1")[0]
    assert store.run("image", "rm", "a/b:1").stdout == "untagged: docker.io/a/b:1\n"
    assert place.exists()
    assert f"deleted: {image.id}" in store.run("image", "rm", image.id[7:19]).stdout
    assert not place.exists()
    assert "there is no image" in refused(store, "rm", "a/b:2")
    assert store.run("image", "rm", "A:1", check=False).returncode == 1


def test_the_daemon_owns_the_store(needs_namespaces, folder, image):
    weft = Weft(folder / "state")
    registry = imagekit.Registry()
    registry.push("app:1", image)
    socket = folder / "engine.sock"
    other = Image(tar(entry("from-engine", b"e")))
    with weft.until_down("--now"), registry.serve() as address, imagekit.engine(socket, "localhost/made:1", other) as asked:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", f"unix://{socket}")
            weft.run("up", "--detach", "-", input="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", timeout=60)
        weft.run("image", "pull", f"{address}/app:1")
        weft.run("image", "pull", "localhost/made:1")
        assert asked[0] == "/_ping" and "/v1.44/images/localhost/made:1/get" in asked
        found = {item["names"][0]: item for item in weft.json("image", "list")["images"]}
        assert found[f"{address}/app:1"]["id"] == image.id
        assert found["localhost/made:1"]["id"] == other.id
        text = weft.run("image", "list", "-o", "wide").stdout
        assert "PLATFORM" in text and "linux/amd64" in text
        page = weft.api("/apis/weft.dev/v1alpha1/status")["metrics"]
        metrics = urllib.request.urlopen(page, timeout=30).read().decode()
        assert "weft_image_pulls_total 2" in metrics and "weft_images 2" in metrics
        assert "there is no image" in weft.run("image", "rm", "none:1", check=False).stderr
        weft.run("image", "prune", "--all")
        assert weft.json("image", "list")["images"] == []


def test_mirrors_and_authorities(folder, image):
    """A mirror is asked first and need not be there; TLS counts only with an authority that is known."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "key.pem"),
         "-out", str(folder / "cert.pem"), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True, timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    weft = Weft(folder / "state")
    secure, plain = imagekit.Registry(), imagekit.Registry()
    secure.push("app:1", image)
    plain.push("app:2", Image(tar(entry("mirrored", b"m"))))
    with secure.serve(context) as address, plain.serve() as mirror:
        assert "certificate" in refused(weft, "pull", f"{address}/app:1")
        pathlib.Path(weft.state).mkdir(exist_ok=True)
        settings = pathlib.Path(weft.state) / "images.yaml"
        settings.write_text(f"registries:\n- host: {address}\n  caFile: {folder}/cert.pem\n  mirrors: ['http://127.0.0.1:1', 'http://{mirror}']\n")
        done = weft.run("image", "pull", f"{address}/app:1")
        assert "mirror 127.0.0.1:1" in done.stderr and f"mirror {mirror}" in done.stderr
        assert weft.run("image", "pull", f"{address}/app:2").stdout.startswith(f"{address}/app:2 ")
        assert not any("app/manifests/2" in path for _, path, _ in secure.requests)
        settings.write_text("registries: [{host: a, tls: no}]\n")
        assert "registries[0].tls is unknown" in refused(weft, "pull", f"{address}/app:1")


def test_who_goes_away_ends_the_pull(needs_namespaces, folder):
    weft = Weft(folder / "state")
    registry = imagekit.Registry()
    image = registry.push("big:1", Image(tar(entry("big", os.urandom(100_000)))))
    registry.trouble[imagekit.digest(image.packed[0])] = "stuck"
    with weft.until_down("--now"), registry.serve() as address:
        weft.run("up", "--detach", "-", input="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", timeout=60)
        pull = weft.start("image", "pull", f"{address}/big:1")
        assert registry.started.wait(30)
        assert scraps(weft) != []
        pull.send_signal(signal.SIGINT)
        pull.communicate(timeout=30)
        wait_until(lambda: scraps(weft) == [], "the pull is given up")
        page = weft.api("/apis/weft.dev/v1alpha1/status")["metrics"]
        assert 'weft_image_pull_failures_total{reason="Cancelled"} 1' in urllib.request.urlopen(page, timeout=30).read().decode()
