"""Many callers at one mb-listen: strangers who say nothing, and neighbours who all call at once."""

import os
import socket
import subprocess
import time
from statistics import median

from calls import Listener
from report import at_most

COUNT = 200
MANY = ("--max-conn", "300", "--max-per-address", "300", "--timeout", "60")
# Strangers are shown out after 10 seconds.
SETTLE_SECS = 2


def measure(side):
    """Rows for report.crowd."""
    return idle(side) + neighbours(side)


def idle(side):
    """What a listener needs for connections on which nothing is said."""
    side.fresh()
    with Listener(side, side.listener("south", *MANY)) as listener:
        before = listener.status("VmRSS")
        place = "127.0.0.1", int(side.env["PORT"])
        callers = [socket.create_connection(place) for _ in range(COUNT)]
        time.sleep(SETTLE_SECS)
        resident, threads = listener.status("VmRSS"), listener.status("Threads")
        open_count = sum(map(is_open, callers))
        for caller in callers:
            caller.close()
    side.remove()
    if open_count != COUNT:
        raise SystemExit(f"bench: only {open_count} of {COUNT} idle callers were kept")
    return [
        (f"{COUNT} idle callers: resident MiB", f"{resident / 1024:.1f}", at_most(resident / 1024, 64, "under 64")),
        ("– before they came; threads then", f"{before / 1024:.1f}; {threads}", ("", "")),
    ]


def is_open(caller):
    try:
        return caller.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def neighbours(side):
    """Each has one packet for north, and all call it in the same moment."""
    names = [f"node{number}" for number in range(COUNT)]
    side.fresh(names)
    for name in names:
        side.run("mb-send", "-C", name, "-t", "north", "../files/1k")
    with Listener(side, side.listener("north", *MANY)) as listener:
        seconds = call_at_once(side, names)
        peak_kib = listener.status("VmHWM")
    if side.arrived("north") != COUNT:
        raise SystemExit(f"bench: {side.arrived('north')} of {COUNT} neighbours' packets came")
    side.remove()
    times = f"{min(seconds):.2f} s, {median(seconds):.2f} s, {max(seconds):.2f} s"
    return [
        (f"{COUNT} neighbours at once, a packet each: first done, median, last", times, ("", "")),
        ("– CPU of the listener", f"{listener.used.ru_utime + listener.used.ru_stime:.2f} s", ("", "")),
        ("– peak MiB of the listener", f"{peak_kib / 1024:.1f}", ("", "")),
    ]


def call_at_once(side, names):
    """Seconds of each call. They wait for their standard input to end, which is the same pipe for all."""
    gate, key = os.pipe()
    script = 'read -r _ || exec mb-call -q -C "$0" --addr 127.0.0.1:$PORT north'
    callers = [
        subprocess.Popen(["sh", "-c", script, name], stdin=gate, cwd=side.folder, env=side.env) for name in names
    ]
    os.close(gate)
    time.sleep(0.5)
    start = time.perf_counter()
    os.close(key)
    return [ended(start, callers) for _ in names]


def ended(start, callers):
    """Seconds until the next caller has ended, whichever that is."""
    pid, status = os.wait()
    seconds = time.perf_counter() - start
    caller = next((caller for caller in callers if caller.pid == pid), None)
    if caller is None or status != 0:
        raise SystemExit(f"bench: {'the listener' if caller is None else 'a caller'}: status {status}")
    caller.returncode = 0
    return seconds
