"""Jobs in which there is more to do than can be done: who is served, who is refused, and what a refusal costs."""

import base64
import contextlib
import json
import os
import pathlib
import subprocess
import time

from processes import LOAD_CORE, free_port, pinned
from stand import (
    Load, Watch, envoy_like, eventually, haproxy, loaded, median, nginx, nginx_server, nginx_upstream, origins, route, simple, step)

ADAPTIVE = "adaptive_concurrency.v3.AdaptiveConcurrency"
SLOTS, SERVICE_US = 10, 5000
# The first seconds of a step in which the proxy's own core is too little: until it knows.
SETTLING = 3
CAPACITY = SLOTS * 1_000_000 // SERVICE_US


def adaptive(interval="60s", buffer=25):
    return step("limit", ADAPTIVE, enabled={"default_value": True, "runtime_key": "limit.enabled"}, gradient_controller_config={
        "sample_aggregate_percentile": {"value": 50}, "concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
        "min_rtt_calc_params": {"interval": interval, "request_count": 50, "buffer": {"value": buffer}}})


# --- Goodput ---------------------------------------------------------------------------------------------------------------

def goodput_proxy(name, folder, port, plain):
    """Each proxy with its own means against an overloaded origin; `plain`: as it comes."""
    if name in ("weft", "envoy"):
        return envoy_like(name, folder, *simple([port], *([] if plain else [adaptive()])))
    if name == "nginx":
        return nginx(folder, nginx_server("proxy_next_upstream off;"),
                     nginx_upstream([port], "max_fails=0" if plain else f"max_fails=0 max_conns={2 * SLOTS}", f"zone z 64k;"))
    return haproxy(folder, servers=[port], back="" if plain else "timeout queue 10ms", each="" if plain else f"maxconn {SLOTS}")


def goodput(plain):
    """Half, once, twice and four times what the origin can, by the clock; clients wait 100 ms."""
    def run(name, folder, seconds):
        with origins(folder, slots=SLOTS, service=SERVICE_US) as (origin,), goodput_proxy(name, folder, origin.port, plain) as proxy:
            if proxy is None:
                return None
            loaded(folder, proxy.port, CAPACITY / 2, 1, 1000)
            steps = {factor: loaded(folder, proxy.port, factor * CAPACITY, seconds, 100) for factor in (0.5, 1, 2, 4)}
            eventually(lambda: origin.count()["queued"] == 0, 5)
            after = loaded(folder, proxy.port, CAPACITY / 2, 5, 100)
        per = {factor: found["in_time"] / seconds for factor, found in steps.items()}
        peak = max(per[0.5], per[1], per[2], per[4])
        calm = steps[0.5]["p99_ms"]
        found = {
            "half": round(per[0.5]), "once": round(per[1]), "twice": round(per[2]), "four": round(per[4]),
            "share2": round(per[2] / peak, 2), "share4": round(per[4] / peak, 2), "quiet_p99_ms": calm,
            "p99_ms": max(steps[2]["p99_ms"], steps[4]["p99_ms"]), "after_bad": after["bad_by_second"][-1]}
        good = found["share2"] >= 0.9 and found["share4"] >= 0.8 and found["p99_ms"] <= 3 * calm and found["after_bad"] == 0
        return {**found, "holds": good}
    return run


# --- Goodput of the proxy itself --------------------------------------------------------------------------------------------

def signed():
    """A filter that asks for tokens signed with ECDSA, and the field with such a token: requests that cost something."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(value.to_bytes(48, "big")).rstrip(b"=").decode() for value in (public.x, public.y))
    keys = json.dumps({"keys": [{"kty": "EC", "kid": "one", "crv": "P-384", "x": x, "y": y}]})
    token = jwt.encode({"iss": "stress", "exp": int(time.time()) + 36000}, key, "ES384", headers={"kid": "one"})
    provider = {"issuer": "stress", "local_jwks": {"inline_string": keys}}
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "one"}}]
    return step("jwt", "jwt_authn.v3.JwtAuthentication", providers={"one": provider}, rules=rules), f"Authorization: Bearer {token}"


def busy(name, folder, seconds):
    """Requests with signed tokens, up to four times as many as the proxy's core can check; nothing is configured against it."""
    if name not in ("weft", "envoy"):
        return None
    check, field = signed()
    with origins(folder) as (origin,), envoy_like(name, folder, *simple([origin.port], check)) as proxy:
        if proxy is None:
            return None
        # What it can: more than it can is asked, and clients wait long.
        cpu, found = proxy.cpu_seconds(), loaded(folder, proxy.port, 2000, 2, 2000, field=field)
        each = (proxy.cpu_seconds() - cpu) / max(1, found["good"])
        capacity = round(0.95 / each)
        steps = {}
        for factor in (0.5, 1, 2, 4):
            steps[factor] = loaded(folder, proxy.port, factor * capacity, seconds + SETTLING, 1000, 8000, field=field, skip=SETTLING)
        after = loaded(folder, proxy.port, capacity / 2, 6, 1000, field=field)
    return judged(steps, after)


@contextlib.contextmanager
def narrowed(proxy):
    """A tenth of a core for a proxy, by a control group; False where that cannot be had."""
    old, new = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")
    limits = {"cpu.cfs_period_us": "10000", "cpu.cfs_quota_us": "1000"} if old.is_dir() else {"cpu.max": "1000 10000"}
    place = (old if old.is_dir() else new) / f"weft-stress-{os.getpid()}"
    try:
        place.mkdir()
        for name, value in limits.items():
            (place / name).write_text(value)
        for pid in proxy.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                # The bench may run with priority; such tasks cannot be moved.
                os.sched_setscheduler(int(task), os.SCHED_OTHER, os.sched_param(0))
            (place / "cgroup.procs").write_text(str(pid))
    except OSError:
        yield False
        return
    yield True
    proxy.stop()
    eventually(lambda: not (place / "cgroup.procs").read_text(), 5)
    place.rmdir()


def busy_plain(name, folder, seconds):
    """Requests that are only passed on, where refusing costs half of serving; a tenth of a core, so that one core can ask for four times as many."""
    if name not in ("weft", "envoy"):
        return None
    with origins(folder) as (origin,), envoy_like(name, folder, *simple([origin.port])) as proxy:
        if proxy is None:
            return None
        with narrowed(proxy) as is_narrow:
            if not is_narrow:
                return None
            cpu, found = proxy.cpu_seconds(), loaded(folder, proxy.port, 20_000, 2, 2000, 64)
            capacity = round(0.1 / ((proxy.cpu_seconds() - cpu) / max(1, found["good"])))
            steps = {factor: loaded(folder, proxy.port, factor * capacity, seconds + SETTLING, 250, 8000, field="X-A: b", skip=SETTLING)
                     for factor in (0.5, 1, 2, 4)}
            after = loaded(folder, proxy.port, capacity / 2, 6, 250)
    return judged(steps, after)


def judged(steps, after):
    """Of steps by the clock, from the time on when the proxy knows."""
    per = {factor: sum(found["ok_by_second"][SETTLING:]) / (len(found["ok_by_second"]) - SETTLING) for factor, found in steps.items()}
    peak, calm = max(per.values()), steps[0.5]["settled_p99_ms"]
    found = {
        "half": round(per[0.5]), "once": round(per[1]), "twice": round(per[2]), "four": round(per[4]),
        "share2": round(per[2] / peak, 2), "share4": round(per[4] / peak, 2), "quiet_p99_ms": calm,
        "p99_ms": max(steps[2]["settled_p99_ms"], steps[4]["settled_p99_ms"]),
        "onset_p99_ms": max(steps[2]["p99_ms"], steps[4]["p99_ms"]), "after_bad": after["bad_by_second"][-1]}
    good = found["share2"] >= 0.9 and found["share4"] >= 0.8 and found["p99_ms"] <= 3 * calm and found["after_bad"] == 0
    return {**found, "holds": good}


# --- What a refusal costs ------------------------------------------------------------------------------------------------------

def pressed(file):
    """An overload manager whose pressure stands in a file, in Envoy's form."""
    return {"refresh_interval": "0.1s", "resource_monitors": [{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig", "filename": str(file)}}],
        "actions": [{"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [{"name": "file", "threshold": {"value": 0.9}}]}]}


def cost(proxy, command, line_of, word):
    """CPU time of the proxy for each answered request, in microseconds."""
    cpu = proxy.cpu_seconds()
    text = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, timeout=60).stdout
    count = next(int(line.split()[word]) for line in text.splitlines() if line_of in line)
    return (proxy.cpu_seconds() - cpu) * 1e6 / max(1, count)


def shed_cost(name, folder, seconds):
    """CPU of an answered and of a refused request, on kept connections of HTTP/1 and on streams of HTTP/2, and with signed tokens."""
    file = folder / f"pressure-{name}"
    check, field = signed()
    with origins(folder) as (origin,), contextlib.ExitStack() as stack:
        file.write_text("0")
        deny = None
        if name in ("weft", "envoy"):
            listeners, clusters = simple([origin.port])
            guarded, _ = simple([origin.port], check)
            tokens = guarded[0]["address"]["socket_address"]["port_value"]
            listeners.append({**guarded[0], "name": "tokens"})
            proxy = stack.enter_context(envoy_like(name, folder, listeners, clusters, overload_manager=pressed(file)))
        elif name == "nginx":
            proxy = stack.enter_context(nginx(folder, nginx_server() + nginx_server("return 503;").replace("$port", str(deny := free_port())),
                                              nginx_upstream([origin.port])))
        else:
            proxy = stack.enter_context(haproxy(folder, "http-request deny deny_status 503 if { path_beg /refused }", servers=[origin.port]))
        if proxy is None:
            return None
        time_ = f"{max(2, seconds / 2):g}"

        def one(port, path, version, *more):
            url = f"http://127.0.0.1:{port}{path}"
            if version == 1:
                return cost(proxy, ["wrk", "-t1", "-c32", f"-d{time_}s", *more, url], "requests in ", 0)
            # Not for a time: h2load counts nothing then when all answers are refusals.
            return cost(proxy, ["h2load", "-c4", "-m32", "-n40000", url], "requests:", 5)
        both = name in ("weft", "envoy")
        served = one(proxy.port, "/", 1)
        served2 = one(proxy.port, "/", 2) if both else None
        checked = one(tokens, "/", 1, "-H", field) if both else None
        # Envoy sees a file that is replaced, not one that is written.
        fresh = folder / "pressure-new"
        fresh.write_text("1")
        fresh.rename(file)
        time.sleep(1)
        shed = one(deny or proxy.port, "/refused", 1)
        shed2 = one(proxy.port, "/refused", 2) if both else None
        shed3 = one(tokens, "/refused", 1, "-H", field) if both else None
    found = {"served_us": round(served, 1), "shed_us": round(shed, 1), "shed_share": round(shed / served, 2)}
    if served2:
        found |= {"served2_us": round(served2, 1), "shed2_us": round(shed2, 1), "shed2_share": round(shed2 / served2, 2),
                  "checked_us": round(checked, 1), "checked_share": round(shed3 / checked, 3)}
    return {**found, "holds": min(found["shed_share"], found.get("checked_share", 1)) <= 0.1}


# --- The adaptive limit ----------------------------------------------------------------------------------------------------------

def adaptive_steps(name, folder, seconds):
    """The origin takes 5 ms, then 50, then 5 again, with 20 slots and more asked than it can: where the limit settles."""
    slots, span = 20, max(12.0, seconds)
    if name not in ("weft", "envoy"):
        return None
    with origins(folder, slots=slots, service=5000) as (origin,):
        with envoy_like(name, folder, *simple([origin.port], adaptive("5s"))) as proxy:
            if proxy is None:
                return None
            gauge = "http.test.adaptive_concurrency.gradient_controller."

            def look():
                stats = proxy.stats("gradient_controller")
                return stats.get(gauge + "concurrency_limit", 0), stats.get(gauge + "min_rtt_calculation_active", 0)
            ratios, waves = [], []
            for service in (5000, 50_000, 5000):
                origin.set(service=service)
                with Watch(look) as watch:
                    result = loaded(folder, proxy.port, 1.5 * slots * 1e6 / service, span, 2000)
                # While the least latency is measured, few requests are let through, and some more until the limit is used again.
                settled = [value for value, measures in watch.between(span - 4, span) if not measures]
                done = result["ok_by_second"][int(span) - 4:int(span)]
                little = sum(done) / len(done) * result["p50_ms"] / 1000
                ratios.append(median(settled) / max(1, little))
                order = sorted(settled) or [0]
                waves.append((order[len(order) * 9 // 10] - order[len(order) // 10]) / max(1, median(settled)))
    found = {f"little{number}": round(ratio, 2) for number, ratio in enumerate(ratios, 1)} | {"wave": round(max(waves), 2)}
    return {**found, "holds": all(0.75 <= ratio <= 1.25 for ratio in ratios) and found["wave"] <= 0.6}


# --- Retries ---------------------------------------------------------------------------------------------------------------------

RATE, LAYERS = 500, 3


def retrying(name, folder, port):
    if name in ("weft", "envoy"):
        policy = {"retry_on": "5xx", "num_retries": 3}
        routes = [route({"cluster": "origin", "timeout": "2s", "retry_policy": policy})]
        budget = {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}
        return envoy_like(name, folder, *simple([port], routes=routes, breakers=budget))
    if name == "nginx":
        # It repeats only at another server: the same one, four times.
        return nginx(folder, nginx_server("proxy_next_upstream error timeout http_500; proxy_next_upstream_tries 4;"),
                     nginx_upstream([port, port, port, port], "max_fails=0"))
    return haproxy(folder, servers=[port], back="retries 3\nretry-on 500")


def retry_storm(name, folder, seconds):
    """An origin that fails every request, behind one proxy and behind three in a row, each with three retries."""
    found = {}
    for layers in (1, LAYERS):
        with origins(folder, service=20_000) as (origin,), contextlib.ExitStack() as stack:
            port = origin.port
            for _ in range(layers):
                proxy = stack.enter_context(retrying(name, folder, port))
                if proxy is None:
                    return None
                port = proxy.port
            loaded(folder, port, RATE, 1)
            origin.set(fail=1)
            before = origin.count()["requests"]
            storm = loaded(folder, port, RATE, seconds, 5000)
            eventually(lambda: not origin.count()["working"], 5)
            found[f"amplified{layers}"] = round((origin.count()["requests"] - before) / storm["sent"], 2)
            origin.set(fail=0)
            after = loaded(folder, port, RATE, 5, 5000)
            found["after_bad"] = after["bad_by_second"][-1]
    held = found["amplified1"] <= 1.25 and found[f"amplified{LAYERS}"] <= 1.75 and found["after_bad"] == 0
    return {**found, "holds": held}


# --- The breaker -----------------------------------------------------------------------------------------------------------------

def breaking(name, folder, ports):
    if name in ("weft", "envoy"):
        policy = {"retry_on": "5xx,reset,connect-failure", "num_retries": 2, "per_try_timeout": "0.5s"}
        routes = [route({"cluster": "origin", "timeout": "3s", "retry_policy": policy})]
        outliers = {"consecutive_5xx": 5, "base_ejection_time": "10s", "max_ejection_percent": 50, "interval": "1s"}
        return envoy_like(name, folder, *simple(ports, routes=routes, outlier_detection=outliers))
    if name == "nginx":
        return nginx(folder, nginx_server("proxy_next_upstream error timeout http_500; proxy_next_upstream_tries 3; proxy_read_timeout 500ms;"),
                     nginx_upstream(ports, "max_fails=5 fail_timeout=10s"))
    return haproxy(
        folder, servers=ports, defaults="timeout server 500ms\noption redispatch 1\nretries 2\nretry-on 500 response-timeout conn-failure",
        each="check inter 2s fall 1 rise 1 observe layer7 error-limit 5 on-error mark-down")


def breaker(name, folder, seconds):
    """Of four origins one answers 500 and one never: how soon both are left out, and how soon they are back when they are well."""
    rate = 200
    with origins(folder, 4) as made, breaking(name, folder, [one.port for one in made]) as proxy:
        if proxy is None:
            return None
        loaded(folder, proxy.port, rate, 1)
        bad = made[:2]

        def heard():
            return [one.count()["requests"] for one in bad]
        with Watch(heard, 0.25) as watch, Load(folder, proxy.port, rate, 8, 5000) as load:
            made[0].set(fail=1)
            made[1].set(hang=1)
            result = load.finish()
        # Left out from the moment after which a second brings nothing more.
        out = next((at for at, now in watch.seen if all(
            later == now for when, later in watch.seen if at < when < at + 1)), None)
        late = sum(result["bad_by_second"][2:]) / (rate * 6)
        for one in bad:
            one.set(fail=0, hang=0)
        known = heard()
        with Load(folder, proxy.port, rate, 35, 5000) as load:
            back = eventually(lambda: all(now > then + 5 for now, then in zip(heard(), known)), 35)
    found = {"late_share": round(100 * late, 2), "out_s": None if out is None else round(out, 2), "back_s": None if back is None else round(back, 1)}
    return {**found, "holds": late <= 0.01 and out is not None and out <= 3 and back is not None}


# --- Fairness --------------------------------------------------------------------------------------------------------------------

def fair(name, folder, port):
    """Half of the capacity for each of two clients, known by a field; each proxy with its own means."""
    share = CAPACITY // 2
    if name in ("weft", "envoy"):
        limit = step("limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="limit", **share_of(CAPACITY * 4), descriptors=[
            {"entries": [{"key": "client", "value": client}], "token_bucket": bucket(share)} for client in "ab"])
        action = {"cluster": "origin", "timeout": "0s", "rate_limits": [
            {"actions": [{"request_headers": {"header_name": "x-client", "descriptor_key": "client"}}]}]}
        return envoy_like(name, folder, *simple([port], limit, routes=[route(action)]))
    if name == "nginx":
        return nginx(folder, nginx_server(f"limit_req zone=clients burst={share // 20} nodelay; limit_req_status 429;"),
                     nginx_upstream([port]), http=f"limit_req_zone $http_x_client zone=clients:1m rate={share}r/s;")
    return haproxy(folder, "stick-table type string len 8 size 1k expire 10s store http_req_rate(1s)\nhttp-request track-sc0 req.hdr(x-client)\n"
                   f"http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {share} }}", servers=[port])


def bucket(rate):
    return {"max_tokens": rate // 20, "tokens_per_fill": rate // 20, "fill_interval": "0.05s"}


def share_of(rate):
    whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {"token_bucket": bucket(rate), "filter_enabled": whole, "filter_enforced": whole}


def fairness(name, folder, seconds):
    """A asks ten times as much as B, both together twice what the origin can; B asks less than its share."""
    with origins(folder, slots=SLOTS, service=SERVICE_US) as (origin,), fair(name, folder, origin.port) as proxy:
        if proxy is None:
            return None
        one = 2 * CAPACITY / 11
        with Load(folder, proxy.port, 10 * one, seconds, 100, field="X-Client: a") as greedy:
            with Load(folder, proxy.port, one, seconds, 100, field="X-Client: b") as modest:
                b, a = modest.finish(), greedy.finish()
    found = {"greedy_share": round(100 * a["in_time"] / a["offered"]), "modest_share": round(100 * b["in_time"] / b["offered"], 1),
             "modest_p99_ms": b["p99_ms"]}
    return {**found, "holds": found["modest_share"] >= 90}


JOBS = [
    ("goodput", f"Goodput: an origin that can {CAPACITY} requests a second is asked up to four times as much; each proxy with its own means",
     "at 2 times 90 % of the best, at 4 times 80 %; p99 of the answered at most 3 times that at half; 5 s later all is well", goodput(False)),
    ("goodput-plain", "The same as the proxies come", "the same", goodput(True)),
    ("goodput-proxy", "Goodput: tokens to be checked, up to four times as many as the proxy's core can; nothing is configured against it",
     f"from the {SETTLING}rd second on at 2 times 90 % of the best, at 4 times 80 %, within the client's 1 s, and p99 of the answered at most 3 "
     "times that at half; 5 s after the end all is well", busy),
    ("goodput-pass", "Goodput: plain requests, up to four times as many as a tenth of a core can pass on; nothing is configured against it",
     "the same, within the client's 250 ms", busy_plain),
    ("shed-cost", "What a refusal costs: CPU of a served and of a refused request", "a tenth, for requests with tokens", shed_cost),
    ("adaptive-limit", "An origin with 20 slots takes 5 ms, 50 ms, 5 ms: the limit that is found, against what Little's law says",
     "within 25 % of it in each step, nine tenths of the time within 60 % of each other", adaptive_steps),
    ("retry-storm", f"An origin fails every request, behind one proxy and behind {LAYERS} in a row, with three retries each",
     f"at most 1.25 requests for one, 1.75 behind {LAYERS}; all is well 5 s after the end", retry_storm),
    ("breaker", "Of four origins one answers 500 and one never", "after 2 s at most 1 % fails, both are out within 3 s and back within 35 s", breaker),
    ("fairness", "Two clients ask twice what the origin can, one ten times as much as the other; each has its share",
     "the modest one gets 90 % of what it asks", fairness),
]
