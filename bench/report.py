"""Turns results into the table on the terminal and the page in docs/."""

import json
import pathlib

TITLES = {"weft": "weft-proxy", "nginx": "nginx", "haproxy": "HAProxy", "nghttpx": "nghttpx", "envoy": "Envoy"}


def ratio(median):
    peers = [figures["cpu_us"] for name, figures in median.items() if name != "weft"]
    return median["weft"]["cpu_us"] / min(peers) if peers and "weft" in median else None


def head(first, columns):
    return ["| " + " | ".join([first, *columns]) + " |", "|---|" + "---:|" * len(columns)]


def row(title, cells):
    return f"| {title} | " + " | ".join(cells) + " |"


def table(results):
    """CPU µs per request, a line per scenario, and weft-proxy's ratio to the best peer."""
    names = list(results["versions"])
    lines = head("scenario", [*(TITLES[name] for name in names), "ratio to the best peer"])
    for scenario in results["scenarios"].values():
        median = scenario["median"]
        cells = [f"{median[name]['cpu_us']:.1f}" if name in median else "-" for name in names]
        best = ratio(median)
        lines.append(row(scenario["title"], [*cells, f"{best:.2f}" if best else "-"]))
    return "\n".join(lines)


def latency_table(results):
    names = list(results["versions"])
    lines = head("scenario", [TITLES[name] for name in names])

    def cell(figures):
        times = f" · {figures['p50_ms']:.2f} · {figures['p99_ms']:.2f}" if figures["p50_ms"] else ""
        return f"{figures['rps']:.0f}{times}"

    for scenario in results["scenarios"].values():
        median = scenario["median"]
        lines.append(row(scenario["title"], [cell(median[name]) if name in median else "-" for name in names]))
    return "\n".join(lines)


def deep_table(results):
    """System calls, allocations and instructions per request."""
    names = list(results["versions"])
    lines = head("scenario", [TITLES[name] for name in names])

    def cell(scenario, name):
        calls, allocations = scenario.get("calls", {}).get(name), scenario.get("allocations", {}).get(name)
        words = [f"{calls[0]:.2f}" if calls else "-", f"{allocations:.2f}" if allocations is not None else "-"]
        if scenario.get("instructions", {}).get(name):
            words.append(f"{scenario['instructions'][name]:.0f}")
        return " · ".join(words)

    for scenario in results["scenarios"].values():
        lines.append(row(scenario["title"], [cell(scenario, name) if name in scenario["median"] else "-" for name in names]))
    return "\n".join(lines)


def resources_table(results):
    names = list(results["versions"])
    lines = head("", [TITLES[name] for name in names])
    memory, tls, large = results["memory"], results.get("memory_tls", {}), results.get("bulk", {})

    def add(title, cell):
        lines.append(row(title, [cell(name) for name in names]))

    add("memory at rest, MB (PSS)", lambda n: f"{memory[n]['rest'] / 1e6:.1f}" if n in memory else "-")
    for kind, figures in (("", memory), (" with TLS", tls)):
        for count in next(iter(figures.values()), {"each": {}})["each"]:
            add(f"bytes per idle connection{kind}, of {count}", lambda n: f"{figures[n]['each'][count]:.0f}" if n in figures else "-")
    for what in ("route", "cluster"):
        add(f"bytes per {what}, of 10,000", lambda n: f"{large[n][what + '_bytes']:.0f}" if n in large else "-")
        add(f"start to first answer with 10,000 {what}s, s", lambda n: f"{large[n][what + '_seconds']:.2f}" if n in large else "-")
    return "\n".join(lines)


def workers_table(results):
    lines = head("scenario", ["one worker, µs per request", "two workers", "two do the work of"])
    for key, figures in results["workers"].items():
        cells = [f"{figures['one_us']:.1f}", f"{figures['two_us']:.1f}", f"{figures['times']:.2f}"]
        lines.append(row(results["scenarios"][key]["title"], cells))
    return "\n".join(lines)


def write_page(folder, target):
    """The page from what bench/run, bench/shop, bench/pods and bench/api left in the results folder."""
    places = [folder / name for name in ("proxies.json", "shop.json", "pods.json", "api.json")]
    proxies, shop, pods, api = [json.loads(path.read_text()) if path.exists() else None for path in places]
    if proxies:
        target.parent.mkdir(exist_ok=True)
        target.write_text(page(proxies, shop, pods, api))


def counts_instructions(results):
    return any(filter(None, (figure for one in results["scenarios"].values() for figure in one.get("instructions", {}).values())))


def page(results, shop, pods, api=None):
    versions = ", ".join(f"{TITLES[name]} {version}" for name, version in results["versions"].items())
    parts = [
        "# Benchmarks",
        f"Written by `{results['command']}` on {results['date']}: {results['machine']}; {versions}. One worker each, proxies on one core,"
        f" load (wrk, h2load, and bench/echo.c) and origins on the other, {results['rounds']} interleaved rounds of {results['seconds']} s, medians."
        " weft-proxy and Envoy run the same configuration file."
        + "".join(f" Measured anew on {one['date']}: `{one['command']}`." for one in results.get("anew", [])),
        "## CPU per request (µs, the kernel's accounting)", table(results),
        "TCP counts MiB, WebSocket messages, in place of requests.",
        "## Requests per second · p50 ms · p99 ms",
        "wrk and h2load send as fast as they can, so the proxy's core or the load's is full: latencies are those of saturation.",
        latency_table(results),
        "## System calls · allocations" + (" · instructions" if counts_instructions(results) else "") + " per request",
        "System calls by strace and allocations by a preloaded counter, each in a run of its own. Envoy's allocator cannot be counted"
        " that way." + (" Instructions are those in user space, by `bench/instructions`." if counts_instructions(results) else ""),
        deep_table(results),
        "## Memory and large configurations",
        resources_table(results),
    ]
    if results.get("workers"):
        parts += ["## Two workers on two cores", "By the kernel's accounting of CPU: load and origin need a core as well.", workers_table(results)]
    if shop:
        text = f"Written by `{shop['command'].strip()}` on {shop['date']}: {shop['machine']}. {len(shop['starts'])} starts, medians;"
        text += " the death is that of one of two replicas under steady requests; at rest only the probes of the pods run."
        parts += ["## The example shop", text, figures_table(shop)]
    if pods:
        text = f"Written by `{pods['command'].strip()}` on {pods['date']}: {pods['machine']}. Medians of {len(pods['starts']['1'])} rounds;"
        text += " the pods run `sleep`, so that what is counted is Weft's own. Times are those of a watcher of the API. The client for"
        text += " latencies sends one request at a time on a kept connection to an nginx in a pod."
        parts += ["## Pods", text, figures_table(pods)]
        if "turnover" in pods:
            parts += [figures_table({"figures": pods["turnover"]})]
    if api:
        text = f"Written by `{api['command']}` on {api['date']}: {api['machine']}. One Python client over 8 connections, and a lean one in C. Beside"
        text += " it what is wanted, and what kube-apiserver 1.36 with etcd and its controllers reached on two cores with the same kind of client."
        parts += ["## The API and its store", text, api_table(api)]
    notes = pathlib.Path(__file__).resolve().parent / "notes.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    return "\n\n".join(parts) + "\n"


def figures_table(shop):
    lines = ["| what | figure |", "|---|---:|"]
    lines += [f"| {title} | {figure} |" for title, figure in shop["figures"].items()]
    return "\n".join(lines)


def api_table(api):
    lines = ["| what | weft | wanted | kube-apiserver |", "|---|---:|---:|---:|"]
    lines += [f"| {' | '.join(cells)} |" for cells in api["rows"]]
    return "\n".join(lines)
