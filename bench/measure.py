"""Runs one command and says what it took."""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Taken:
    """Seconds, and the largest resident size of any of its processes. Of a call: CPU of both ends."""

    wall: float
    user: float
    system: float
    peak_kib: int
    bytes: int = 0
    # On the clock of time.perf_counter.
    start: float = 0
    # Of a call: seconds until all packets were there, and the listener's peak.
    durable: float = 0
    listener_kib: int = 0

    @property
    def cpu(self):
        return self.user + self.system


def run(script, side, times=1):
    """The script in a shell, in the side's folder; its output is dropped. Seconds are per time.

    /usr/bin/time stands between, because the peak that wait4 reports begins with that of the process that forked,
    and Python is larger than what is measured. It and the shell add about a millisecond in all.
    """
    with tempfile.NamedTemporaryFile(mode="r", prefix="bench-") as peak:
        words = ["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, "sh", "-ec", repeated(script, times)]
        start = time.perf_counter()
        child = subprocess.Popen(words, cwd=side.folder, env=side.env, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"bench: {side.name}: {script}: exit {child.returncode}")
        peak_kib = int(peak.read())
    return Taken(wall / times, used.ru_utime / times, used.ru_stime / times, peak_kib, start=start)


def repeated(script, times):
    if times == 1:
        return script
    return f"i=0; while [ $i -lt {times} ]; do {script}; i=$((i + 1)); done"


SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range", "msync")


def syncs(script, side):
    """How often each sync call is made: {call: count}."""
    with tempfile.NamedTemporaryFile(mode="r", prefix="bench-") as table:
        words = ["strace", "-f", "-qq", "-c", "-e", "trace=" + ",".join(SYNCS), "-o", table.name]
        done = subprocess.run(
            [*words, "sh", "-ec", script], cwd=side.folder, env=side.env, stdout=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise SystemExit(f"bench: strace {script}: exit {done.returncode}")
        rows = (line.split() for line in table)
        return {row[-1]: int(row[3]) for row in rows if row and row[-1] in SYNCS}
