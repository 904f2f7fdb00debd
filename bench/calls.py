"""A call: a listener, a caller, and when the packets are there."""

import os
import signal
import subprocess
import threading
import time

import measure

# The names at the receiver are looked at so often, but for a fifth of one core at most.
INTERVAL_SECS = 0.005


def run(step, side):
    """One call to a new listener: the caller's figures and the listener's CPU."""
    with Listener(side, side.listener()) as listener:
        watch = Watch(side, step.packet_count)
        taken = measure.run(step.script(side), side)
        # What is seen a moment after the caller has ended was there when it did.
        taken.durable = min(watch.end() - taken.start, taken.wall)
        taken.listener_kib = listener.status("VmHWM")
    taken.user += listener.used.ru_utime
    taken.system += listener.used.ru_stime
    return taken


class Listener:
    """A program that listens on the side's port. After it, `used` says what it took."""

    def __init__(self, side, words):
        self.side, self.words = side, words

    def __enter__(self):
        self.child = subprocess.Popen(self.words, cwd=self.side.folder, env=self.side.env, stdout=subprocess.DEVNULL)
        end = time.perf_counter() + 10
        while not is_listening(int(self.side.env["PORT"])):
            if self.child.poll() is not None or time.perf_counter() > end:
                raise SystemExit(f"bench: {' '.join(self.words)} does not listen")
            time.sleep(INTERVAL_SECS)
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        _, status, self.used = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)

    def status(self, name):
        """A line of /proc/PID/status, as a number."""
        with open(f"/proc/{self.child.pid}/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def is_listening(port):
    """By the system's table: to connect would make a caller of us."""
    local = f":{port:04X}"
    with open("/proc/net/tcp") as lines:
        return any(words[1].endswith(local) and words[3] == "0A" for words in map(str.split, lines))


class Watch(threading.Thread):
    """Notes when the last of `count` packets has its final name at the receiver."""

    def __init__(self, side, count):
        super().__init__(daemon=True)
        self.side, self.count, self.at, self.is_over = side, count, None, False
        self.start()

    def run(self):
        while not self.is_over:
            start = time.perf_counter()
            if self.side.arrived() >= self.count:
                self.at = time.perf_counter()
                return
            time.sleep(max(INTERVAL_SECS, 4 * (time.perf_counter() - start)))

    def end(self):
        """When it was. The call is over: what has not come does not come any more."""
        self.join(1)
        self.is_over = True
        if self.at is None:
            raise SystemExit(f"bench: {self.side.name}: {self.side.arrived()} of {self.count} packets came")
        return self.at
