"""A fresh ext4 with a journal, in a file: for machines whose disk has none. As root, or with sudo."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

SIZE = 16 << 30


@contextmanager
def mounted(folder):
    """Where it is mounted, below `folder`, in which the image takes as much as is written to it."""
    image, place = Path(folder) / "ext4", Path(folder) / "journal"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["/sbin/mkfs.ext4", "-q", image], check=True)
    place.mkdir()
    as_root("mount", "-o", "loop", image, place)
    try:
        as_root("chown", str(os.getuid()), place)
        yield place
    finally:
        # Lazily: after an interruption the last program may still be at it.
        as_root("umount", "--lazy", place)


def as_root(*words):
    subprocess.run([*([] if os.getuid() == 0 else ["sudo"]), *words], check=True)
