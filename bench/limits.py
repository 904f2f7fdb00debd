"""What the machine itself can do, measured in the same run: nobody is faster than that."""

import os
import re
import subprocess
import time

MIB = 1 << 20
SMALL_COUNT = 2_000


def measure(folder):
    """Rows (what, how much) for a file system and, where it says so, the processor."""
    folder.mkdir()
    rows = [
        ("sequential write of 1 GiB + fsync", f"{sequential_write(folder / 'large'):,.0f} MiB/s"),
        ("fsyncs a second: append 4 KiB, fsync", f"{fsyncs(folder / 'log'):,.0f}"),
        ("durable files a second, NNCP's way: each 1 KiB, fsync, rename, fsync folder", f"{files_each(folder):,.0f}"),
        ("durable files a second, all at once: 1 KiB each, one syncfs, renames, one fsync", f"{files_at_once(folder):,.0f}"),
    ]
    subprocess.run(["rm", "-rf", folder], check=True)
    return rows


def processor():
    return [
        ("memory copy, one core", f"{memory_copy():,.0f} MiB/s"),
        ("BLAKE2b-512, openssl speed, one core, 16 KiB", f"{openssl('blake2b512'):,.0f} MiB/s"),
        ("ChaCha20-Poly1305, the same", f"{openssl('chacha20-poly1305'):,.0f} MiB/s"),
    ]


def memory_copy():
    source, target = os.urandom(MIB) * 256, memoryview(bytearray(256 * MIB))
    target[:] = source
    start = time.perf_counter()
    for _ in range(8):
        target[:] = source
    return 8 * 256 / (time.perf_counter() - start)


def openssl(name):
    done = subprocess.run(
        ["openssl", "speed", "-evp", name, "-bytes", "16384", "-seconds", "2"],
        check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    # The last line: "BLAKE2b512   945678.12k", thousands of bytes a second.
    return float(re.search(r"([\d.]+)k\s*$", done.stdout).group(1)) * 1000 / MIB


def sequential_write(path):
    block = os.urandom(MIB)
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for _ in range(1024):
            file.write(block)
        os.fsync(file.fileno())
    return 1024 / (time.perf_counter() - start)


def fsyncs(path):
    count, start = 0, time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        while time.perf_counter() - start < 2:
            file.write(bytes(4096))
            os.fsync(file.fileno())
            count += 1
    return count / (time.perf_counter() - start)


def files_each(folder):
    count, start = 0, time.perf_counter()
    with Folder(folder / "each") as (path, handle):
        while time.perf_counter() - start < 2:
            write(path / f"{count}.tmp", sync=True)
            os.rename(path / f"{count}.tmp", path / str(count))
            os.fsync(handle)
            count += 1
        return count / (time.perf_counter() - start)


def files_at_once(folder):
    with Folder(folder / "once") as (path, handle):
        start = time.perf_counter()
        for number in range(SMALL_COUNT):
            write(path / f"{number}.tmp", sync=False)
        # syncfs, which Python does not have
        subprocess.run(["sync", "-f", path], check=True)
        for number in range(SMALL_COUNT):
            os.rename(path / f"{number}.tmp", path / str(number))
        os.fsync(handle)
        return SMALL_COUNT / (time.perf_counter() - start)


class Folder:
    """A new folder and its handle."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.path.mkdir()
        self.handle = os.open(self.path, os.O_RDONLY)
        return self.path, self.handle

    def __exit__(self, *_):
        os.close(self.handle)


def write(path, sync):
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(1024))
        if sync:
            os.fsync(file.fileno())
