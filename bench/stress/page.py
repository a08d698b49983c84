"""The page docs/reliability.md, made of what bench/stress/attacks found."""

NAMES = {"weft": "weft-proxy", "nginx": "nginx", "haproxy": "HAProxy", "nghttpx": "nghttpx", "envoy": "Envoy"}
COLUMNS = {
    "half": "at 0.5, 1/s", "once": "at 1, 1/s", "twice": "at 2, 1/s", "four": "at 4, 1/s", "share2": "at 2, of the best", "share4": "at 4, of the best",
    "good": "good answers", "failed": "failed", "failed_share": "failed, %", "refused": "refused", "p99_ms": "p99, ms", "quiet_p99_ms": "p99 in quiet, ms",
    "onset_p99_ms": "p99 with the first seconds, ms", "after_bad": "failed in the 5th second after", "worst_ms": "slowest, ms",
    "served_us": "served, us", "shed_us": "refused, us", "shed_share": "share", "served2_us": "served over HTTP/2, us", "shed2_us": "refused, us",
    "shed2_share": "share", "checked_us": "served with a token, us", "checked_share": "share of a refusal",
    "little1": "limit against Little, 5 ms", "little2": "50 ms", "little3": "5 ms again", "wave": "spread",
    "amplified1": "requests for one, 1 layer", "amplified3": "3 layers", "late_share": "failed after 2 s, %", "out_s": "out after, s",
    "greedy_share": "greedy, %", "modest_share": "modest, %", "modest_p99_ms": "its p99, ms",
    "memory_mib": "memory, MiB", "span_s": "time, s", "drift": "memory's drift, %", "descriptors": "descriptors more", "cpu_s": "CPU, s", "idle_cpu_s": "CPU at rest, s/s",
    "timer_off": "timers off, %", "questions": "questions", "lines_lost": "lines lost", "left": "attackers left", "thrown_out": "thrown out",
    "sent_mib": "taken, MiB", "kept_answered": "answers on a kept connection", "back_s": "well again after, s", "worst_s": "longest, s",
}


# What the figures do not say.
NOTES = {
    "goodput-proxy": "A standing queue has to stand for half a second, with clients that leave or are turned away, before anybody is refused, and the "
    "limit by which requests are refused sinks to its least within a second; the first seconds are given apart.",
    "goodput-pass": "Where a request is only passed on, refusing costs half of serving: who asks for twice as much as can be served would take all of "
    "the time by being refused. Therefore refusals end their connections as soon as they take a tenth of the time, and 128 connections at most wait "
    "to be accepted: the kernel turns the rest away, at no cost. Without either, nothing was served in time at 4 times; with smaller limits the share "
    "at 2 times sank, too. What is left are connections that are accepted, read and refused.",
    "shed-cost": "Reading a request and answering it are two of the four system calls that passing it on takes: a refusal of plain HTTP/1 cannot cost a "
    "tenth of that, with any proxy, though it costs us less time than it costs the others. Under a tenth are refusals in place of work that filters "
    "would do, and connections that the kernel turns away in a standing queue (nothing).",
    "adaptive-limit": "The condition of Little's law is that of the limit with its usual headroom: the square root of the limit.",
}


def page(results):
    versions = ", ".join(f"{NAMES[name]} {version}" for name, version in results["versions"].items())
    lines = [
        "# Reliability", "",
        "Attacks, faults, overload and changes. One worker each; proxies on one core, load and origin on the other. In attacks good traffic "
        "runs beside: a connection for each request, one after another, up to 200 a second; configurations are those of `bench/peers`, so "
        "that peers show what they do without being told of the attack. Elsewhere each has what it offers against what happens, requests come by "
        "the clock (open loop), and times count from when a request was due. Memory is the growth at its peak, CPU what the whole job cost "
        "the proxy; what a proxy cannot do is left out for it. Made by `bench/stress/attacks`; attacks with exact outcomes are in the suite "
        "(hostile-input.md).", "",
        f"{results['date']}, {results['machine']}; {versions}; attacks of {results['seconds']:g} s.", "",
    ]
    for key, job in results["jobs"].items():
        lines += section(key, job)
    return "\n".join(lines) + "\n"


def section(key, job):
    here = job["proxies"]
    columns = [key for key in COLUMNS if any(key in found for found in here.values())]
    lines = [f"## {job['title']}", "", f"Held when: {job['condition']}.", ""]
    if key in NOTES:
        lines += [NOTES[key], ""]
    lines.append("| | " + " | ".join(COLUMNS[key] for key in columns) + " | held |")
    lines.append("|---|" + "---:|" * len(columns) + "---|")
    for name, found in here.items():
        cells = ["–" if found.get(key) is None else f"{found[key]:g}" for key in columns]
        lines.append(f"| {NAMES[name]} | " + " | ".join(cells) + f" | {'yes' if found['holds'] else 'no'} |")
    return [*lines, ""]
