"""What is compared of relays: by a hub, which reads nothing, and as onions, in which each relay rewrites everything.

NNCP's `-via` is an onion by itself: each layer is a whole packet in a packet for the next node, so its relay decrypts
and writes all of it in both cases. Nodes are north, the relays and the recipients; no stick goes from north to a recipient.
"""

from workloads import Chain, Step, delivered, stick_bytes

PEAK_MIB = 16
ONION_BYTES = 100 << 20
BEHIND_HUB = tuple(f"node{number}" for number in range(1, 21))


def carry(giver, taker):
    """The stick goes from one node to the next. Not measured here."""
    return Step(
        "",
        "",
        f"mb-xfer -C {giver} --out --node {taker} stick && mb-xfer -C {taker} --in stick",
        f"nncp-xfer -cfg {giver}.hjson -quiet -mkdir -tx stick && nncp-xfer -cfg {taker}.hjson -quiet -rx stick",
    )


def toss(host):
    return Step("", "", f"mb-toss -C {host}", f"nncp-toss -cfg {host}.hjson -quiet")


def ran(*steps):
    """A preparation: these have run."""

    def prepare(side):
        for step in steps:
            side.run("sh", "-ec", step.script(side))

    return prepare


def went_on(name, *hosts):
    """A check: from the first of the hosts it goes the rest of the way, and each byte is delivered at south."""
    ways = [[carry(giver, taker), toss(taker)] for giver, taker in zip(hosts, hosts[1:])]
    go = ran(*sum(ways, []))

    def check(side):
        go(side)
        delivered(name)(side)

    return check


def on_stick(count):
    """A check: so many packets are on the stick."""

    def check(side):
        if side.packets_on_stick() != count:
            raise SystemExit(f"bench: {side.name}: {side.packets_on_stick()} packets on the stick, not {count}")

    return check


PACK_PLAIN = Step(
    "",
    "",
    "mb-send -C north --via hub -t south ../files/large",
    "nncp-file -cfg north.hjson -quiet -via hub ../files/large south:",
)

HUB = Chain(
    "hub",
    [
        Step(
            "toss-hub",
            "toss at a plain relay, 1 GiB",
            "mb-toss -C hub",
            "nncp-toss -cfg hub.hjson -quiet",
            (50, 50),
            prepare=ran(PACK_PLAIN, carry("north", "hub")),
            check=went_on("large", "hub", "south"),
            most_peak_mib=PEAK_MIB,
        )
    ],
    room=4.2,
    relays=("hub",),
)

BEHIND = Chain(
    "behind",
    [
        Step(
            "behind-hub",
            "1 GiB to 20 nodes behind one hub: packed, and on the stick to it",
            "mb-send -C north --via hub "
            + " ".join(f"-t {name}" for name in BEHIND_HUB)
            + " ../files/large && mb-xfer -C north --out --node hub stick",
            f"for to in {' '.join(BEHIND_HUB)}; do nncp-file -cfg north.hjson -quiet -via hub ../files/large $to:; done"
            " && nncp-xfer -cfg north.hjson -quiet -mkdir -tx stick",
            check=on_stick(len(BEHIND_HUB)),
            weigh=stick_bytes,
            bytes_target=15,
            most_peak_mib=PEAK_MIB,
        )
    ],
    room=21.4,
    recipients=BEHIND_HUB,
    relays=("hub",),
    most_times=1,
)

ONION = Chain(
    "onion",
    [
        Step(
            "pack-onion",
            "pack 100 MiB as an onion of 3 hops",
            "mb-send -C north --onion --via b,c -t south ../files/onion/0",
            "nncp-file -cfg north.hjson -quiet -via b,c ../files/onion/0 south:",
            (1.0, None),
            most_cpu_ratio=0.7,
            most_peak_mib=PEAK_MIB,
        ),
        Step(
            "toss-onion",
            "toss at the first relay of an onion, 100 MiB",
            "mb-toss -C b",
            "nncp-toss -cfg b.hjson -quiet",
            (None, 1.5),
            prepare=ran(carry("north", "b")),
            check=went_on("onion", "b", "c", "south"),
            most_peak_mib=PEAK_MIB,
        ),
    ],
    room=1.2,
    relays=("b", "c"),
    files={"onion": (1, ONION_BYTES)},
)

CHAINS = [HUB, BEHIND, ONION]
