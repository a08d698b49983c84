"""The page docs/reliability.md, made of what bench/stress/attacks found."""

NAMES = {"weft": "weft-proxy", "nginx": "nginx", "haproxy": "HAProxy", "nghttpx": "nghttpx", "envoy": "Envoy"}
COLUMNS = {
    "good": "good answers", "failed": "failed", "refused": "refused", "p99_ms": "p99, ms", "quiet_p99_ms": "p99 in quiet, ms",
    "memory_mib": "memory, MiB", "cpu_s": "CPU, s", "left": "attackers left", "thrown_out": "thrown out", "sent_mib": "taken, MiB",
    "kept_answered": "answers on a kept connection", "back_s": "room again after, s", "worst_s": "next answer after, s at worst",
}


def page(results):
    versions = ", ".join(f"{NAMES[name]} {version}" for name, version in results["versions"].items())
    lines = [
        "# Reliability", "",
        "Attacks and faults, with good traffic next to them: a connection for each request, one after another, up to 200 a second. One "
        "worker each; proxies on one core, load and origin on the other; configurations as in `bench/peers`, so that peers show what they do "
        "without being told of the attack. Memory is the growth at its peak, CPU what the whole job cost the proxy; what no proxy can do "
        "alone is left out for it. Made by `bench/stress/attacks`; the same attacks with exact outcomes are in the suite (hostile-input.md).", "",
        f"{results['date']}, {results['machine']}; {versions}; attacks of {results['seconds']:g} s.", "",
    ]
    for job in results["jobs"].values():
        lines += section(job)
    return "\n".join(lines) + "\n"


def section(job):
    here = job["proxies"]
    columns = [key for key in COLUMNS if any(key in found for found in here.values())]
    lines = [f"## {job['title']}", "", f"Held when: {job['condition']}.", ""]
    lines.append("| | " + " | ".join(COLUMNS[key] for key in columns) + " | held |")
    lines.append("|---|" + "---:|" * len(columns) + "---|")
    for name, found in here.items():
        cells = ["–" if found.get(key) is None else f"{found[key]:g}" for key in columns]
        lines.append(f"| {NAMES[name]} | " + " | ".join(cells) + f" | {'yes' if found['holds'] else 'no'} |")
    return [*lines, ""]
