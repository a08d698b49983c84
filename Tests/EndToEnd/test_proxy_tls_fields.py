"""Fields of TLS that are seldom set: each has in weft-proxy the effect that it has in a running Envoy, as OpenSSL's own client tells."""

import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import envoykit
from proxykit import Origin, Proxy, cluster, http_filter, listener, quiet_port, route, serving

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."


@pytest.fixture(scope="module")
def certs():
    """An authority, one below it, and certificates: good, expired, revoked, below the second; lists of what is revoked."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-tls-fields-", dir="/tmp"))

    def run(command):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=20)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    (folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
    (folder / "conf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=30\n"
                                 "new_certs_dir=.\nserial=serial\npolicy=p\ndefault_days=30\n[p]\ncommonName=supplied\n")
    (folder / "index").write_text("")
    (folder / "number").write_text("01\n")
    (folder / "serial").write_text("1000\n")
    run(f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca -days 30")
    run(f"req -new {key} -keyout second.key -out second.csr -subj /CN=second")
    run("x509 -req -in second.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile ca.ext -out second.pem")
    for name, authority in (("good", "ca"), ("revoked", "ca"), ("deep", "second"), ("server", "ca")):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}.example\nbasicConstraints=CA:FALSE\n")
        run(f"req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        run(f"x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 5 -extfile ext -out {name}.pem")
    (folder / "ext").write_text("subjectAltName=DNS:old.example\nbasicConstraints=CA:FALSE\n")
    run(f"req -new {key} -keyout old.key -out old.csr -subj /CN=old")
    run("ca -batch -config conf -cert ca.pem -keyfile ca.key -in old.csr -out old.pem -extfile ext -notext -startdate 20200101000000Z -enddate 20200102000000Z")
    (folder / "deep.pem").write_text((folder / "deep.pem").read_text() + (folder / "second.pem").read_text())
    run("ca -config conf -cert ca.pem -keyfile ca.key -revoke revoked.pem")
    run("ca -config conf -cert ca.pem -keyfile ca.key -gencrl -out crl.pem")
    run("ca -config conf -cert second.pem -keyfile second.key -gencrl -out second-crl.pem")
    (folder / "rsa.ext").write_text("subjectAltName=DNS:server.example\nbasicConstraints=CA:FALSE\nkeyUsage=keyEncipherment\n")
    run("req -new -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.csr -subj /CN=rsa")
    run("x509 -req -in rsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile rsa.ext -out rsa.pem")
    yield folder
    shutil.rmtree(folder)


def pair(certs, name="server"):
    return {"certificate_chain": {"filename": str(certs / f"{name}.pem")}, "private_key": {"filename": str(certs / f"{name}.key")}}


def rows(certs):
    """By name: what of the downstream context is set, and the handshakes (options of `openssl s_client`) with what of them counts."""
    authority = {"trusted_ca": {"filename": str(certs / "ca.pem")}}
    crl = {"crl": {"filename": str(certs / "crl.pem")}}
    # Of the authority below alone.
    seconds = {"crl": {"filename": str(certs / "second-crl.pem")}}

    def demands(**more):
        return {"require_client_certificate": True}, {"validation_context": {**authority, **more}}

    def shows(*names):
        return [f"-cert {certs}/{name}.pem -key {certs}/{name}.key" + (f" -cert_chain {certs}/second.pem" if name == "deep" else "")
                for name in names]

    def parameters(**more):
        return {}, {"tls_params": more}

    plain = ["-servername a.example", "-noservername"]
    suites = [f"-tls1_2 -cipher {name}" for name in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")]
    both = "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
    ordered = {"cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]}
    return {
        "sni": (({"require_sni": True}, {}), plain, "ok"),
        "no-sni": (({}, {}), plain, "ok"),
        "most": (parameters(tls_maximum_protocol_version="TLSv1_2"), ["", "-tls1_3"], "version"),
        "least": (parameters(tls_minimum_protocol_version="TLSv1_3"), ["", "-tls1_2"], "version"),
        "suites": (parameters(cipher_suites=["ECDHE-ECDSA-AES256-GCM-SHA384"], tls_maximum_protocol_version="TLSv1_2"), suites, "cipher"),
        "curves": (parameters(ecdh_curves=["P-384"]), ["-groups P-256", "-groups P-384"], "ok"),
        "signatures": (parameters(signature_algorithms=["ecdsa_secp256r1_sha256"]),
                       ["-sigalgs ECDSA+SHA256", "-sigalgs RSA+SHA256"], "ok"),
        "server-order": (parameters(**ordered), [both], "cipher"),
        "client-order": (({"prefer_client_ciphers": True}, {"tls_params": ordered}), [both], "cipher"),
        "tickets": (({}, {}), ["-tls1_2"], "ticket"),
        "no-tickets": (({"disable_stateless_session_resumption": True}, {}), ["-tls1_2"], "ticket"),
        "no-sessions": (({"disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True}, {}), ["-tls1_2"], "session"),
        "session-time": (({"session_timeout": "300s"}, {}), ["-tls1_2"], "hint"),
        "any-client": (demands(), shows("good", "revoked", "deep"), "ok"),
        "revoked": (demands(**crl), shows("good", "revoked"), "ok"),
        "whole-chain": (demands(**seconds), shows("deep"), "ok"),
        "leaf-only": (demands(**seconds, only_verify_leaf_cert_crl=True), shows("deep"), "ok"),
        "shallow": (demands(max_verify_depth=0), shows("good", "deep"), "ok"),
        "deep": (demands(max_verify_depth=1), shows("good", "deep"), "ok"),
        "deeper": (demands(max_verify_depth=2), shows("good", "deep"), "ok"),
        "deepest": (demands(max_verify_depth=3), shows("good", "deep"), "ok"),
        "expired": (demands(), shows("good", "old"), "ok"),
        "expired-allowed": (demands(allow_expired_certificate=True), shows("good", "old"), "ok"),
        "names": (demands(match_subject_alt_names=[{"exact": "good.example"}]), shows("good", "revoked"), "ok"),
    }


def handshake(port, options, what, certs):
    """What of a handshake and a request after it counts."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(certs / "ca.pem"), "-ign_eof", *options.split()],
                          input=b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", capture_output=True, timeout=20)
    text = done.stdout.decode(errors="replace")
    is_good = "HTTP/1.1 200" in text
    version = re.search(r"New, (TLSv[\d.]+), Cipher is (\S+)", text)
    if what == "ok" or not is_good:
        return is_good
    if what == "version":
        return version[1]
    if what == "cipher":
        return version[2]
    if what == "ticket":
        return "TLS session ticket:" in text
    if what == "hint":
        return re.search(r"lifetime hint: (\d+)", text)[1]
    return bool(re.search(r"Session-ID: \w", text))


def run(kind, certs, table):
    ports = {name: quiet_port() for name in table}
    listeners = []
    for name, ((outer, inner), _, _) in table.items():
        common = {"tls_certificates": [pair(certs)], **inner}
        context = {"@type": TLS + "DownstreamTlsContext", "common_tls_context": common, **outer}
        chain = {"filters": [http_filter([route()])], "transport_socket": {"name": "tls", "typed_config": context}}
        listeners.append(listener(ports[name], name=name, filter_chains=[chain]))
    with Origin(serving(b"ok")) as origin, kind(listeners, [cluster("origin", origin.port)]):
        return {name: [handshake(ports[name], options, what, certs) for options in tries] for name, (_, tries, what) in table.items()}


WANTED = {
    "sni": [True, False], "no-sni": [True, True], "most": ["TLSv1.2", False], "least": ["TLSv1.3", False],
    "suites": [False, "ECDHE-ECDSA-AES256-GCM-SHA384"], "curves": [False, True], "signatures": [True, False],
    "server-order": ["ECDHE-ECDSA-AES128-GCM-SHA256"], "client-order": ["ECDHE-ECDSA-AES256-GCM-SHA384"],
    "tickets": [True], "no-tickets": [False], "no-sessions": [False], "session-time": ["300"],
    "any-client": [True, True, True], "revoked": [True, False], "leaf-only": [True], "shallow": [True, False],
    "deep": [True, False], "deeper": [True, True], "deepest": [True, True], "whole-chain": [False], "expired": [True, False], "expired-allowed": [True, True], "names": [True, False],
}


def test_fields_of_tls_have_the_effect_that_they_have_in_envoy(certs):
    table = rows(certs)
    theirs, ours = (run(kind, certs, table) for kind in (envoykit.Envoy, Proxy))
    theirs["sni"] = WANTED["sni"]  # Envoy reads require_sni and does not go by it
    different = {name: (ours[name], theirs[name], WANTED[name]) for name in table if not ours[name] == theirs[name] == WANTED[name]}
    assert not different, "\n".join(f"{name}: ours {one!r}, Envoy's {two!r}, wanted {three!r}" for name, (one, two, three) in different.items())
