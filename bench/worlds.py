"""The two sides of every comparison: hosts of ours and hosts of NNCP, set up alike in a folder each.

Hosts: "north" sends, "south" (or where asked others, "node2" and so on) receives, and relays may be between. A side's
folder has for each of them what it needs, and `stick`. Commands run with that folder as the current one, so that they
read as a user types them; `../files` is the input, the same for both. In a call, south listens on `$PORT`.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
from base64 import b32encode
from pathlib import Path


class Side:
    """What both have in common. `folder` is made anew by `fresh` and removed by `remove`."""

    name = ""

    def __init__(self, world, path):
        self.folder = world / self.name
        self.env = {"PATH": path, "HOME": str(self.folder), "LC_ALL": "C"}
        self.stick = self.folder / "stick"

    def fresh(self, recipients=("south",), relays=()):
        """New hosts with empty spools and an empty stick. Recipients know north and the relays, and these know all."""
        self.remove()
        self.folder.mkdir()
        self.stick.mkdir()
        self.env["PORT"] = str(free_port())
        near = ("north", *relays)
        hosts = (*near, *recipients)
        self.make_hosts({host: [other for other in (hosts if host in near else near) if other != host] for host in hosts})

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words, stdin=None):
        """Runs a program that must succeed; its output."""
        done = subprocess.run(words, cwd=self.folder, env=self.env, input=stdin, text=True, stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit(f"bench: {' '.join(words)}: exit {done.returncode}")
        return done.stdout

    def stick_bytes(self):
        return sum(path.stat().st_size for path in self.stick.rglob("*") if path.is_file())


class Ours(Side):
    name = "ours"

    def make_hosts(self, known):
        """`known`: {host: those that it knows}."""
        cards = {}
        for host in known:
            self.run("mb-init", "-C", host, "--name", host, "--spool", str(self.folder / f"{host}-spool"))
            cards[host] = self.run("mb-node", "-C", host, "card")
        for host, others in known.items():
            self.run("mb-node", "-C", host, "add", stdin="".join(cards[other] for other in others))

    def incoming(self):
        return self.folder / "south-spool/incoming/north"

    def listener(self, host="south", *options):
        return "mb-listen", "-q", "-C", host, "--bind", f"127.0.0.1:{self.env['PORT']}", *options

    def arrived(self, host="south"):
        """How many packets came to the host in calls. Bodies, PKT.n, are there before their packet."""
        folders = (self.folder / f"{host}-spool").glob("mbn1*/rx")
        return sum("." not in name for folder in folders for name in os.listdir(folder))

    def check_spool(self):
        self.run("mb-check", "-C", "south")

    def packets_on_stick(self):
        """Envelopes: bodies are elsewhere on it."""
        return sum(path.is_file() for path in self.stick.glob("mailbag/mbn1*/*/*"))

    def bodies_shared(self):
        """How many packets at south share the body of each."""
        # One more link is the index.
        return [path.stat().st_nlink - 1 for path in (self.folder / "south-spool").glob("mbn1*/rx/*.0")]

    def remember(self):
        """Keeps what south has, for `restore`. Bodies are hard links: they stay so."""
        self.run("cp", "-a", "south-spool", "remembered")

    def restore(self):
        shutil.rmtree(self.folder / "south-spool")
        (self.folder / "remembered").rename(self.folder / "south-spool")

    def deliver_marks(self, count):
        """South has marks of `count` delivered letters: they were sent and delivered, nothing is made by hand."""
        names = "".join(f"../files/empty/{number}\n" for number in range(count))
        self.run("mb-send", "-C", "north", "-t", "south", "--files-from", "-", stdin=names)
        self.run("mb-xfer", "-C", "north", "--out", "--node", "south", "stick")
        self.run("mb-xfer", "-C", "south", "--in", "--toss", "stick")
        shutil.rmtree(self.incoming())


class Nncp(Side):
    name = "nncp"
    PUBLIC = ("id", "exchpub", "signpub", "noisepub")
    SECRET = ("exchprv", "signprv", "noiseprv")

    def make_hosts(self, known):
        keys = {host: self.new_keys() for host in known}
        for host, others in known.items():
            self.write_config(host, keys, others)
        self.north_id = keys["north"]["id"]

    def new_keys(self):
        config = self.run("nncp-cfgnew", "-nocomments")
        return dict(re.findall(r"^\s*(\w+): ([A-Z2-7]+)$", config, re.MULTILINE))

    def write_config(self, host, keys, neighbours):
        """What nncp-cfgnew writes, with our folders and the neighbours' public keys in it."""
        spool = self.folder / host
        spool.mkdir()
        incoming = self.folder / f"{host}-incoming"
        incoming.mkdir()
        own = self.fields(keys[host], self.PUBLIC + self.SECRET)
        lines = [f"spool: {spool}", f"log: {spool}/log", f"self: {{\n{own}\n}}", "neigh: {"]
        lines.append(f"self: {{\n{self.fields(keys[host], self.PUBLIC)}\n}}")
        for name in neighbours:
            public = self.fields(keys[name], self.PUBLIC)
            lines.append(f'{name}: {{\n{public}\nincoming: "{incoming}"\n}}')
        config = self.folder / f"{host}.hjson"
        config.write_text("{\n" + "\n".join(lines) + "\n}\n}\n")
        config.chmod(0o600)

    @staticmethod
    def fields(keys, names):
        return "\n".join(f"  {name}: {keys[name]}" for name in names)

    def incoming(self):
        return self.folder / "south-incoming"

    def listener(self):
        return "nncp-daemon", "-cfg", "south.hjson", "-quiet", "-bind", f"127.0.0.1:{self.env['PORT']}"

    def arrived(self):
        """Packets whose checksum is yet to be looked at, or that have come in part, have longer names."""
        folder = self.folder / "south" / self.north_id / "rx"
        return sum(len(name) == 52 for name in os.listdir(folder)) if folder.is_dir() else 0

    def packets_on_stick(self):
        return sum(path.is_file() for path in self.stick.rglob("*"))

    def check_spool(self):
        self.run("nncp-check", "-cfg", "south.hjson", "-quiet")

    def remember(self):
        self.run("cp", "-a", "south", "remembered")

    def restore(self):
        shutil.rmtree(self.folder / "south")
        (self.folder / "remembered").rename(self.folder / "south")
        for path in self.incoming().iterdir():
            path.unlink()

    def deliver_marks(self, count):
        """Empty files, named as packets are: what `nncp-toss -seen` leaves. Made by hand: to pack takes too long."""
        seen = self.folder / "south" / self.north_id / "rx/seen"
        seen.mkdir(parents=True)
        for _ in range(count):
            (seen / b32encode(secrets.token_bytes(32)).decode().rstrip("=")).touch()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def make_files(folder, mib, counts):
    """The input: `large` of `mib` MiB, `1k`, and folders of many files, by name: how many and how large."""
    folder.mkdir()
    write_random(folder / "large", mib << 20)
    write_random(folder / "1k", 1 << 10)
    for name, (count, size) in counts.items():
        (folder / name).mkdir()
        for number in range(count):
            write_random(folder / name / str(number), size)


def write_random(path: Path, size):
    with open(path, "wb") as file:
        while size > 0:
            size -= file.write(os.urandom(min(size, 1 << 20)))
