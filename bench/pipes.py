"""The large file through a pipe on this machine: a call, and what else a user would use for it."""

import os
from dataclasses import dataclass
from filecmp import cmp
from typing import Callable

import measure
from workloads import LARGE, packed, tossed


@dataclass(eq=False)
class Pipe:
    """A way to bring the large file through a pipe."""

    name: str
    title: str
    script: str
    prepare: Callable
    check: Callable


# rsync asks for a remote shell; this one runs the other end here.
HERE_SCRIPT = """#!/bin/sh
shift
exec "$@"
"""


def make_copy_folder(side):
    (side.folder / "copy").mkdir()
    (side.folder / "here").write_text(HERE_SCRIPT)
    (side.folder / "here").chmod(0o700)


def copied(side):
    """A check: is the copy what was sent?"""
    if not cmp(side.folder / "copy/large", side.folder / "../files/large", shallow=False):
        raise SystemExit("bench: the copy is not what was sent")


PIPES = [
    Pipe(
        "ours",
        "`mb-call --stdio -- mb-listen --stdio`",
        "mb-call -q -C north south --stdio -- sh -c 'exec mb-listen -q -C south --stdio'",
        packed(LARGE.steps[0]),
        tossed("large"),
    ),
    Pipe(
        "rsync",
        "`rsync --fsync`",
        "rsync --fsync -e ./here ../files/large south:copy/large",
        make_copy_folder,
        copied,
    ),
    Pipe(
        "cat",
        "`cat FILE`, in a pipe to `cat >COPY; sync COPY`",
        "cat ../files/large | (cat >copy/large; sync copy/large)",
        make_copy_folder,
        copied,
    ),
]


def run(side, pipe, is_on_disk):
    """Once, in a new world."""
    side.fresh()
    pipe.prepare(side)
    if is_on_disk:
        os.sync()
    taken = measure.run(pipe.script, side)
    pipe.check(side)
    side.remove()
    return taken
