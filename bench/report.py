"""Tables, in Markdown."""

import os
import platform
import subprocess
from pathlib import Path
from statistics import median

from worlds import Nncp, Ours


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def results(place_index, measured, gib):
    """A row for each step. `measured`: {step: {side name: [Taken]}}, `place_index`: which of the targets, `gib`: large."""
    head = [
        "work", "NNCP", "ours", "NNCP / ours", "target", "", "CPU: NNCP", "CPU: ours", "CPU: ours / NNCP",
        "peak MiB: NNCP", "peak MiB: ours",
    ]  # fmt: skip
    rows = []
    for step, taken in measured.items():
        ours, nncp = taken.get(Ours.name, []), taken.get(Nncp.name, [])
        clock = "durable" if step.packet_count else "wall"
        rows.append(time_row(step, step.targets[place_index], nncp, ours, clock))
        if step.packet_count:
            rows += call_rows(step, nncp, ours, gib)
        if step.weigh:
            rows.append(bytes_row(step, nncp, ours))
        rows += limit_rows(step, nncp, ours)
    return table(head, rows)


def time_row(step, target, nncp, ours, clock):
    times = [[getattr(one, clock) for one in side] for side in (nncp, ours)]
    gain = quotient(*times)
    work = quotient([one.cpu for one in ours], [one.cpu for one in nncp])
    return [
        step.title, *map(spread, times), *against(gain, target),
        cpu(nncp), cpu(ours), "–" if work is None else f"{work:.2f}", peak(nncp), peak(ours),
    ]  # fmt: skip


def call_rows(step, nncp, ours, gib):
    """What else is promised of a call: how it ends, memory, CPU."""
    walls = [[one.wall for one in side] for side in (nncp, ours)]
    rest = median(one.wall - one.durable for one in ours)
    peaks = max(max(one.peak_kib, one.listener_kib) for one in ours) / 1024
    rows = [
        ["– until the caller ends", *map(spread, walls), f"{quotient(*walls):.2f}", *at_most(rest, 0.1, "+ 0.1 s")],
        ["– peak MiB: caller, listener", both_peaks(nncp), both_peaks(ours), "", *at_most(peaks, 24, "at most 24")],
    ]
    if step.most_cpu:
        work = [median(one.cpu for one in side) / gib for side in (nncp, ours)]
        shown = [f"{one:.1f} s" for one in work]
        verdict = at_most(work[1], step.most_cpu, f"at most {step.most_cpu} s")
        rows.append(["– CPU of both ends for each GiB", *shown, "", *verdict])
    return [[*row, *[""] * 5] for row in rows]


def limit_rows(step, nncp, ours):
    """What else is promised of a step: CPU beside NNCP's, memory."""
    rows = []
    if step.most_cpu_ratio:
        ratio = quotient([one.cpu for one in ours], [one.cpu for one in nncp])
        shown = [show(median(one.cpu for one in side)) for side in (nncp, ours)]
        verdict = at_most(ratio, step.most_cpu_ratio, f"at most {step.most_cpu_ratio}")
        rows.append(["– CPU, and ours / NNCP", *shown, f"{ratio:.2f}", *verdict])
    if step.most_peak_mib:
        verdict = at_most(float(peak(ours)), step.most_peak_mib, f"at most {step.most_peak_mib}")
        rows.append(["– peak MiB", peak(nncp), peak(ours), "", *verdict])
    return [[*row, *[""] * 5] for row in rows]


def both_peaks(side):
    return ", ".join(f"{max(getattr(one, end) for one in side) / 1024:.1f}" for end in ("peak_kib", "listener_kib"))


def at_most(value, target, words):
    return words, "reached" if value <= target else "missed"


def pipes(measured):
    """`measured`: {pipe: [Taken]}, ours first."""
    ours = median(one.wall for one in next(iter(measured.values())))
    rows = []
    for pipe, taken in measured.items():
        walls = [one.wall for one in taken]
        rows.append([pipe.title, spread(walls), f"{median(walls) / ours:.2f}", cpu(taken), peak(taken)])
    return table(["1 GiB through a pipe", "until it ends", "to ours", "CPU, both ends", "peak MiB"], rows)


def crowd(rows):
    """`rows`: (what, how much, in words, the target in words or nothing, whether it was reached)."""
    shown = [[what, much, target, verdict] for what, much, (target, verdict) in rows]
    return table(["many callers at one mb-listen", "", "target", ""], shown)


def bytes_row(step, nncp, ours):
    sizes = [[one.bytes for one in side] for side in (nncp, ours)]
    shown = [f"{median(side) / (1 << 20):,.1f} MiB" for side in sizes]
    return [f"– bytes {step.weighed}", *shown, *against(quotient(*sizes), step.bytes_target), *[""] * 5]


def against(gain, target):
    if gain is None:
        return "–", "–", ""
    if target is None:
        return f"{gain:.2f}", "–", ""
    return f"**{gain:.2f}**", f"{target:g}", "reached" if gain >= target else "missed"


def quotient(above, below):
    """Of medians; None where a side did not run."""
    return median(above) / median(below) if above and below else None


def spread(seconds):
    if not seconds:
        return "–"
    middle = show(median(seconds))
    return middle if len(seconds) == 1 else f"{middle} ({show(min(seconds))}–{show(max(seconds))})"


def show(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def cpu(side):
    """User and system seconds."""
    if not side:
        return "–"
    user, system = median(one.user for one in side), median(one.system for one in side)
    return f"{show(user)} + {show(system)}"


def peak(side):
    return f"{max(one.peak_kib for one in side) / 1024:.1f}" if side else "–"


def syncs(rows):
    """`rows`: (title, packets, NNCP's {call: count}, ours)."""
    head = ["work", "packets", "NNCP", "ours"]
    return table(head, [[title, count, calls(nncp), calls(ours)] for title, count, nncp, ours in rows])


def calls(counts):
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def machine():
    model = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, Linux {platform.release()}"


def versions(programs):
    return f"{output(programs / 'mb-send', '--version')} at commit {commit()}; {output('nncp-file', '-version')}"


def commit():
    here = Path(__file__).parent
    known = output("git", "-C", here, "describe", "--always", "--dirty")
    return known or "unknown"


def output(*words):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.split("\n")[0].strip()
