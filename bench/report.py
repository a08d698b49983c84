"""Turns results into the table on the terminal and the page in docs/."""

import json

TITLES = {"weft": "weft-proxy", "nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy"}


def ratio(median):
    peers = [figures["cpu_us"] for name, figures in median.items() if name != "weft"]
    return median["weft"]["cpu_us"] / min(peers) if peers and "weft" in median else None


def table(results):
    """CPU µs per request, a line per scenario, and weft-proxy's ratio to the best peer."""
    names = list(results["versions"])
    lines = ["| scenario | " + " | ".join(TITLES[name] for name in names) + " | ratio to the best peer |"]
    lines.append("|---|" + "---:|" * (len(names) + 1))
    for scenario in results["scenarios"].values():
        cells = [f"{scenario['median'][name]['cpu_us']:.1f}" for name in names]
        best = ratio(scenario["median"])
        lines.append(f"| {scenario['title']} | " + " | ".join(cells) + (f" | {best:.2f} |" if best else " | - |"))
    return "\n".join(lines)


def latency_table(results):
    names = list(results["versions"])
    lines = ["| scenario | " + " | ".join(TITLES[name] for name in names) + " |", "|---|" + "---:|" * len(names)]
    for scenario in results["scenarios"].values():
        median = scenario["median"]
        cells = [f"{median[n]['rps']:.0f} · {median[n]['p50_ms']:.2f} · {median[n]['p99_ms']:.2f}" for n in names]
        lines.append(f"| {scenario['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def resources_table(results):
    names = list(results["versions"])
    lines = ["| | " + " | ".join(TITLES[name] for name in names) + " |", "|---|" + "---:|" * len(names)]

    def row(title, cell):
        lines.append(f"| {title} | " + " | ".join(cell(name) for name in names) + " |")

    memory, calls, allocations = results["memory"], results["calls"], results["allocations"]
    row("memory at rest, MB (PSS)", lambda n: f"{memory[n]['rest'] / 1e6:.1f}" if n in memory else "-")
    for count in next(iter(memory.values()), {"each": {}})["each"]:
        row(f"bytes per idle connection, of {count}", lambda n: f"{memory[n]['each'][count]:.0f}" if n in memory else "-")
    row("system calls per request", lambda n: f"{calls[n][0]:.2f}" if n in calls else "-")
    row("allocations per request", lambda n: f"{allocations[n]:.3f}" if allocations.get(n) is not None else "-")
    return "\n".join(lines)


def write_page(folder, target):
    """The page from what bench/run, bench/shop and bench/pods left in the results folder."""
    places = [folder / name for name in ("proxies.json", "shop.json", "pods.json")]
    proxies, shop, pods = [json.loads(path.read_text()) if path.exists() else None for path in places]
    if proxies:
        target.parent.mkdir(exist_ok=True)
        target.write_text(page(proxies, shop, pods))


def page(results, shop, pods):
    versions = ", ".join(f"{TITLES[name]} {version}" for name, version in results["versions"].items())
    parts = [
        "# Benchmarks",
        f"Written by `{results['command']}` on {results['date']}: {results['machine']}; {versions}. One worker each, proxies on one core,"
        f" load (wrk) and origin (nginx) on the other, {results['rounds']} interleaved rounds of {results['seconds']} s, medians."
        " weft-proxy and Envoy run the same configuration file.",
        "## CPU per request (µs, the kernel's accounting)", table(results),
        "## Requests per second · p50 ms · p99 ms",
        "wrk sends as fast as it can, so the proxy's core or the load's is full: latencies are those of saturation.",
        latency_table(results),
        "## Memory, system calls, allocations",
        "System calls by strace and allocations by a preloaded counter, each in a run of its own (64 kept connections)."
        " Envoy's allocator cannot be counted that way.",
        resources_table(results),
    ]
    if shop:
        text = f"Written by `{shop['command'].strip()}` on {shop['date']}: {shop['machine']}. {len(shop['starts'])} starts, medians;"
        text += " the death is that of one of two replicas under steady requests; at rest only the probes of the pods run."
        parts += ["## The example shop", text, figures_table(shop)]
    if pods:
        text = f"Written by `{pods['command'].strip()}` on {pods['date']}: {pods['machine']}. Medians of {len(pods['starts']['1'])} rounds;"
        text += " the pods run `sleep`, so that what is counted is Weft's own. Times are those of a watcher of the API. The client for"
        text += " latencies sends one request at a time on a kept connection to an nginx in a pod."
        parts += ["## Pods", text, figures_table(pods)]
    return "\n\n".join(parts) + "\n"


def figures_table(shop):
    lines = ["| what | figure |", "|---|---:|"]
    lines += [f"| {title} | {figure} |" for title, figure in shop["figures"].items()]
    return "\n".join(lines)
