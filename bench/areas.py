"""What is compared of areas: one message to many subscribers, and what comes by two roads.

North has the area and hands it to its subscribers; where south reads it, it comes there from north and by the hub.
"""

import hashlib
import os
import secrets
from base64 import b32encode

from relays import carry, toss
from workloads import Chain, Step

AREA = "news"
SUBSCRIBERS = tuple(f"node{number}" for number in range(1, 101))
DUPLICATES = 200
MARKS = 100_000


def area(hands_on, readers=()):
    """A preparation: north makes the area, `hands_on` says who hands it to whom, `readers` join with its keys."""

    def prepare(side):
        (ours if side.name == "ours" else nncp)(side, hands_on, readers)

    return prepare


def ours(side, hands_on, readers):
    side.run("mb-area", "-C", "north", "new", AREA)
    card = side.run("mb-area", "-C", "north", "card", AREA, "--reader")
    relay = side.run("mb-area", "-C", "north", "card", AREA)
    for host in ["north", *[host for host in hands_on if host != "north"], *readers]:
        if host != "north":
            side.run("mb-area", "-C", host, "join", AREA, stdin=card if host in readers else relay)
        folder = side.folder / f"{host}-area"
        folder.mkdir()
        side.run("mb-area", "-C", host, "set", AREA, f"folder={folder}")
        if hands_on.get(host):
            side.run("mb-area", "-C", host, "subscribe", AREA, *hands_on[host])


def nncp(side, hands_on, readers):
    made = side.run("nncp-cfgnew", "-nocomments", "-area", AREA)
    words = dict(line.split(": ") for line in map(str.strip, made.splitlines()) if line.startswith(("id:", "pub:", "prv:")))
    for host in {"north", *hands_on, *readers}:
        lines = [f"id: {words['id']}"]
        if host == "north" or host in readers:
            folder = side.folder / f"{host}-area"
            folder.mkdir()
            lines += [f"pub: {words['pub']}", f"prv: {words['prv']}", f'incoming: "{folder}"', "allow-unknown: true"]
        if hands_on.get(host):
            lines.append("subs: [" + ", ".join(f'"{name}"' for name in hands_on[host]) + "]")
        config = side.folder / f"{host}.hjson"
        text = config.read_text().rstrip().removesuffix("}")
        config.write_text(text + "areas: {\n" + AREA + ": {\n" + "\n".join(lines) + "\n}\n}\n}\n")


def written(side):
    """Bytes that lie at north for others: of a file with several names once."""
    spool = side.folder / ("north-spool" if side.name == "ours" else "north")
    sizes = {}
    for path in spool.glob("*/tx/*"):
        stat = path.stat()
        sizes[stat.st_ino] = stat.st_size
    return sum(sizes.values())


def handed_on(side):
    """A check: each subscriber has the packet."""
    spool = side.folder / ("north-spool" if side.name == "ours" else "north")
    # By NNCP each node has its folder under its name as well, as a link.
    queues = {path.parent.resolve() for path in spool.glob("*/tx/*") if len(path.name) == 52}
    if len(queues) != len(SUBSCRIBERS):
        raise SystemExit(f"bench: {side.name}: packets for {len(queues)} of {len(SUBSCRIBERS)} subscribers")


def post(name):
    return Step(
        "",
        "",
        f"mb-send -C north --no-toss -a {AREA} ../files/{name}",
        f"nncp-file -cfg north.hjson -quiet ../files/{name} area:{AREA}:",
    )


def fan_out(suffix, what, name, disk, **more):
    return Chain(
        f"area-{suffix}",
        [
            post(name),
            Step(
                f"area-{suffix}",
                f"toss of {what} to {len(SUBSCRIBERS)} subscribers of an area",
                "mb-toss -C north",
                # It ends with 1 when all has gone well.
                "nncp-toss -cfg north.hjson -quiet -node self || [ $? = 1 ]",
                (disk, None),
                check=handed_on,
                weigh=written,
                weighed="written for others",
                bytes_target=50,
            ),
        ],
        recipients=SUBSCRIBERS,
        prepare=area({"north": SUBSCRIBERS}),
        **more,
    )


ALL = "for file in ../files/dup/*; do {}; done"
DUPLICATE = Chain(
    "area-twice",
    [
        Step(
            "",
            "",
            f"mb-send -C north --no-toss -a {AREA} ../files/dup/* && mb-toss -C north",
            ALL.format(f"nncp-file -cfg north.hjson -quiet $file area:{AREA}:")
            + " && { nncp-toss -cfg north.hjson -quiet -node self || [ $? = 1 ]; }",
        ),
        carry("north", "south"),
        toss("south"),
        carry("north", "hub"),
        Step("", "", "mb-toss -C hub", "nncp-toss -cfg hub.hjson -quiet || [ $? = 1 ]"),
        carry("hub", "south"),
        Step(
            "area-twice",
            f"toss of {DUPLICATES} messages of 1 KiB that came before, by another road",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet",
            (1.5, None),
        ),
    ],
    room=0.1,
    relays=("hub",),
    files={"dup": (DUPLICATES, 1 << 10)},
    prepare=area({"north": ("hub", "south"), "hub": ("south",)}, ("south",)),
)


def mark(side):
    """Marks of messages, made by hand as the programs leave them."""
    if side.name == "ours":
        identity = side.run("mb-area", "-C", "south", "list").split()[-1]
        day = (os.stat(side.folder).st_mtime_ns // 10**9) // 86_400 + 90
        folder = side.folder / "south-spool/self/area" / identity / str(day)
        name = lambda: b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
    else:
        text = (side.folder / "south.hjson").read_text()
        identity = text.split("areas: {")[1].split("id: ")[1].split()[0]
        folder = side.folder / "south" / side.north_id / "area" / identity
        name = lambda: b32encode(hashlib.sha256(secrets.token_bytes(8)).digest()).decode().rstrip("=")
    folder.mkdir(parents=True)
    for _ in range(MARKS):
        (folder / name()).touch(mode=0o400)
    # What is done once a day is done.
    side.run("sh", "-ec", toss("south").script(side))


IDLE = Chain(
    "area-idle",
    [
        Step(
            "area-idle",
            f"toss with {MARKS:,} marks and nothing to do",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet",
            (2.0, 2.0),
            times=50,
            prepare=mark,
        )
    ],
    room=0.5,
    prepare=area({"north": ("south",)}, ("south",)),
    most_times=3,
)
CHAINS = [
    fan_out("1m", "1 MiB", "mib/0", 10, room=0.3, files={"mib": (1, 1 << 20)}),
    fan_out("100m", "100 MiB", "hundred/0", 50, room=11, files={"hundred": (1, 100 << 20)}, most_times=1),
    DUPLICATE,
    IDLE,
]
