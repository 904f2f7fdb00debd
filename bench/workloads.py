"""What is compared: chains of steps. Each step finds what the one before it left, as packets do on their way.

A step's commands are shell scripts that run in the side's folder (see worlds.py). `targets` are those of the issue, NNCP's
time over ours, on disk and in memory.
"""

from dataclasses import dataclass, field
from filecmp import cmp
from typing import Callable, Optional

SMALL_COUNT = 2_000
MARK_COUNT = 10_000
QUEUE_COUNT = 100_000
RECIPIENTS = ("south", *(f"node{number}" for number in range(2, 11)))


def nothing(_side):
    """A step that needs no preparation, or leaves nothing to look at."""


@dataclass(eq=False)
class Step:
    name: str
    title: str
    ours: str
    nncp: Optional[str]
    targets: tuple = (None, None)
    # How often the commands run within one measurement, which is divided by it: for what takes milliseconds.
    times: int = 1
    prepare: Callable = nothing
    check: Callable = nothing
    # What lies there afterwards is weighed, with a target of its own: bytes, and what they are.
    weigh: Optional[Callable] = None
    weighed: str = "on the stick"
    bytes_target: Optional[float] = None
    # A call moves so many packets to a listener; 0: no call.
    packet_count: int = 0
    # Of a call: CPU seconds for each GiB, both ends, at most.
    most_cpu: Optional[float] = None
    # CPU seconds, ours over NNCP's, and our peak, at most.
    most_cpu_ratio: Optional[float] = None
    most_peak_mib: Optional[float] = None

    def script(self, side):
        return getattr(self, side.name)


@dataclass(eq=False)
class Chain:
    name: str
    steps: list
    # Room needed, in units of the large file, beside the input.
    room: float
    recipients: tuple = ("south",)
    # Nodes between north and the recipients.
    relays: tuple = ()
    files: dict = field(default_factory=dict)
    prepare: Callable = nothing
    # Only for its peak memory, and only on the memory file system.
    is_for_memory: bool = False
    # Measured at most so often: it takes minutes.
    most_times: Optional[int] = None
    # Small packets: also on a disk with a journal, if there is to be one.
    is_small: bool = False


def delivered(name):
    """A check: are the input `name`, or all files in that folder, there, each byte, and nothing else?"""

    def check(side):
        source = side.folder.parent / "files" / name
        wanted = {path.name: path for path in (source.iterdir() if source.is_dir() else [source])}
        come = {path.name: path for path in side.incoming().iterdir()}
        if come.keys() != wanted.keys():
            raise SystemExit(f"bench: {side.name}: {len(come)} files came, not {len(wanted)}")
        for file_name, path in come.items():
            if not cmp(path, wanted[file_name], shallow=False):
                raise SystemExit(f"bench: {path} is not what was sent")

    return check


def stick_bytes(side):
    return side.stick_bytes()


def remember(side):
    side.remember()


def restore(side):
    side.restore()


def stick_steps(suffix, what, disk, memory):
    """Out, in, toss: alike for large and small."""
    return [
        Step(
            f"out-{suffix}",
            f"stick out, {what}",
            "mb-xfer -C north --out --node south stick",
            "nncp-xfer -cfg north.hjson -quiet -mkdir -tx stick",
            (disk, memory),
        ),
        Step(
            f"in-{suffix}",
            f"stick in, {what}",
            "mb-xfer -C south --in stick",
            "nncp-xfer -cfg south.hjson -quiet -rx stick",
            (disk, memory),
        ),
        Step(
            f"toss-{suffix}",
            f"toss, {what}",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet",
            (disk, memory),
            prepare=remember if suffix == "small" else nothing,
            check=delivered(suffix),
        ),
    ]


LARGE = Chain(
    "large",
    [
        Step(
            "pack-large",
            "pack 1 GiB of random bytes",
            "mb-send -C north -t south ../files/large",
            "nncp-file -cfg north.hjson -quiet ../files/large south:",
            (1.0, 2.0),
        ),
        Step(
            "check-large",
            "check 1 GiB in the spool",
            "mb-check -C north",
            "nncp-check -cfg north.hjson -quiet",
            (1.5, 1.5),
        ),
        *stick_steps("large", "1 GiB", 1.0, 1.8),
    ],
    room=4.2,
)

SMALL = Chain(
    "small",
    [
        Step(
            "pack-small",
            "pack 2,000 files of 1 KiB: one mb-send, 2,000 nncp-file",
            "mb-send -C north -t south ../files/small/*",
            "for file in ../files/small/*; do nncp-file -cfg north.hjson -quiet $file south:; done",
            (30, 40),
        ),
        *stick_steps("small", "2,000 packets", 15, 3),
        Step(
            "toss-seen",
            "toss, 2,000 packets, against nncp-toss -seen",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet -seen",
            (20, 3),
            prepare=restore,
            check=delivered("small"),
        ),
    ],
    room=0.2,
    files={"small": (SMALL_COUNT, 1 << 10)},
    is_small=True,
)

ONE = Chain(
    "one",
    [
        Step(
            "pack-one",
            "pack one file of 1 KiB",
            "mb-send -C north -t south ../files/1k",
            "nncp-file -cfg north.hjson -quiet ../files/1k south:",
            (1.0, 3.0),
            times=20,
        )
    ],
    room=0.1,
)

TEN = Chain(
    "ten",
    [
        Step(
            "ten-large",
            "1 GiB to 10 nodes: packed, and on one stick",
            "mb-send -C north "
            + " ".join(f"-t {name}" for name in RECIPIENTS)
            + " ../files/large && mb-xfer -C north --out --all stick",
            f"for to in {' '.join(RECIPIENTS)}; do nncp-file -cfg north.hjson -quiet ../files/large $to:; done"
            " && nncp-xfer -cfg north.hjson -quiet -mkdir -tx stick",
            (8, 8),
            weigh=stick_bytes,
            bytes_target=8,
        )
    ],
    room=11.2,
    recipients=RECIPIENTS,
)

STAT = Chain(
    "stat",
    [
        Step(
            "stat",
            "start: stat of an empty spool",
            "mb-stat -C north",
            "nncp-stat -cfg north.hjson",
            (2, 2),
            times=50,
        )
    ],
    room=0.1,
)

IDLE = Chain(
    "idle",
    [
        Step(
            "idle-toss",
            "toss with nothing to do beside 10,000 marks",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet -seen",
            (2, 2),
            times=50,
        )
    ],
    room=0.3,
    files={"empty": (MARK_COUNT, 0)},
    prepare=lambda side: side.deliver_marks(MARK_COUNT),
)

# NNCP would pack for ten minutes, so only ours; its peak does not grow much with the queue (facts: 6 to 12 MiB).
QUEUE = Chain(
    "queue",
    [
        Step(
            "queue-pack",
            "pack 100,000 files of 1 KiB",
            "find ../files/queue -type f | mb-send -C north -t south --files-from -",
            None,
        ),
        Step("queue-out", "stick out, 100,000 packets", "mb-xfer -C north --out --node south stick", None),
        Step("queue-in", "stick in, 100,000 packets", "mb-xfer -C south --in stick", None),
        Step("queue-toss", "toss, 100,000 packets", "mb-toss -C south", None, check=delivered("queue")),
    ],
    room=3.0,
    files={"queue": (QUEUE_COUNT, 1 << 10)},
    is_for_memory=True,
    most_times=1,
)



def packed(step):
    """A preparation: what that step does waits at north."""
    return lambda side: side.run("sh", "-ec", step.script(side))


def tossed(name):
    """A check: south tosses what came, and each byte is as sent."""

    def check(side):
        side.run("sh", "-ec", TOSS.script(side))
        delivered(name)(side)

    return check


def shared(side):
    """A check: the packets are whole, and ours share one body over there too."""
    side.check_spool()
    if side.name == "ours" and side.bodies_shared() != [SHARING_COUNT] * SHARING_COUNT:
        raise SystemExit(f"bench: bodies are shared by {side.bodies_shared()} packets")


def call_step(name, title, targets, **more):
    return Step(
        name,
        title,
        "mb-call -q -C north --addr 127.0.0.1:$PORT south",
        "nncp-call -cfg north.hjson -quiet south 127.0.0.1:$PORT",
        targets,
        **more,
    )


TOSS = LARGE.steps[-1]
SHARING_COUNT = 10
PACK_SHARING = Step(
    "",
    "",
    "mb-send -C north " + " ".join(f"-t south:{number}" for number in range(SHARING_COUNT)) + " ../files/large",
    f"for number in $(seq 0 {SHARING_COUNT - 1}); do nncp-file -cfg north.hjson -quiet ../files/large south:$number; done",
)

CALL_LARGE = Chain(
    "call-large",
    [
        call_step(
            "call-large",
            "call, 1 GiB, until durable",
            (1.8, 4),
            prepare=packed(LARGE.steps[0]),
            check=tossed("large"),
            packet_count=1,
            most_cpu=4,
        )
    ],
    room=2.2,
)

CALL_SMALL = Chain(
    "call-small",
    [
        call_step(
            "call-small",
            "call, 2,000 packets, until durable",
            (8, 3),
            prepare=packed(SMALL.steps[0]),
            check=tossed("small"),
            packet_count=SMALL_COUNT,
        )
    ],
    room=0.2,
    files={"small": (SMALL_COUNT, 1 << 10)},
    is_small=True,
)

CALL_TEN = Chain(
    "call-ten",
    [
        call_step(
            "call-ten",
            "call, 1 GiB body listed by 10 packets, until durable",
            (8, 20),
            prepare=packed(PACK_SHARING),
            check=shared,
            packet_count=SHARING_COUNT,
        )
    ],
    room=12.2,
    most_times=2,
)

CHAINS = [LARGE, SMALL, ONE, TEN, STAT, IDLE, QUEUE, CALL_LARGE, CALL_SMALL, CALL_TEN]
