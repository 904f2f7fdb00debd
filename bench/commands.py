"""What is compared of letters for commands: a command that does nothing, so that what is around it is measured."""

from relays import carry
from workloads import Chain, Step

COUNT = 2_000
HANDLE = "nothing"
COMMAND = "/bin/true"


def allow(side):
    """South runs the command for north."""
    if side.name == "ours":
        with open(side.folder / "south/nodes/north.toml", "a") as file:
            file.write(f'[exec.{HANDLE}]\ncommand = ["{COMMAND}"]\n')
    else:
        config = side.folder / "south.hjson"
        text = config.read_text()
        line = f'incoming: "{side.folder}/south-incoming"'
        config.write_text(text.replace(line, f'{line}\nexec: {{{HANDLE}: ["{COMMAND}"]}}'))


def nothing_left(side):
    """A check: all have run, so nothing is there any more."""
    spool = side.folder / ("south-spool" if side.name == "ours" else "south")
    left = [path for path in spool.glob("*/rx/*") if path.is_file() and path.name != "seen" and len(path.name) >= 52]
    if left:
        raise SystemExit(f"bench: {side.name}: {len(left)} of {COUNT} packets have not run")


def send(words):
    return f"for n in $(seq {COUNT}); do {words} <../files/1k; done"


EXEC = Chain(
    "exec",
    [
        Step(
            "",
            "",
            send(f"mb-send -C north -t south -x {HANDLE} >ids"),
            send(f"nncp-exec -cfg north.hjson -quiet south {HANDLE}"),
        ),
        carry("north", "south"),
        Step(
            "toss-exec",
            f"toss, {COUNT:,} letters of 1 KiB for a command that does nothing",
            "mb-toss -C south",
            "nncp-toss -cfg south.hjson -quiet",
            (5.0, 1.2),
            check=nothing_left,
        ),
    ],
    room=0.1,
    prepare=allow,
)
CHAINS = [EXEC]
