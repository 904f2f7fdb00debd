#!/usr/bin/env python3
"""Reads the test vectors with an implementation of its own, written from docs/format.md and the README beside this.

Every file of good/ must be accepted with all the values it names, every file of bad/ refused. One line for each
failure, then `N passed, M failed`; exit 1 if anything failed, 77 if a package is missing. With -v also each bad case:
why it was refused here, and what the library has to say of it, so that one can see that it was for the same defect.

The numbers at the headings are the sections of format.md. Ciphers, curves and hashes come from packages; all that is
the format's own is written out here: CBOR, base32, bech32m, size classes, trees, which points and numbers are taken.
"""

import json
import re
import sys
from hashlib import blake2b
from pathlib import Path

try:
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
except ImportError:
    print("skipped: python package cryptography")
    sys.exit(77)


class Refused(Exception):
    """The input breaks a rule of the format. Any other exception is a mistake of this program, and a failure."""


def need(rule, otherwise):
    if not rule:
        raise Refused(otherwise)


# ---- 1. Conventions: CBOR --------------------------------------------------------------------------------------------


def item(data, at, depth=0):
    """The item at an offset, and the offset behind it.

    Null occurs in no structure (the stamp is compared as a byte), so of major type 7 only booleans are taken."""
    need(at < len(data), "CBOR: cut short")
    if data[at] in (0xF4, 0xF5):
        return data[at] == 0xF5, at + 1
    major, short = data[at] >> 5, data[at] & 31
    at += 1
    if short < 24:
        number = short
    else:
        need(short < 28, "CBOR: indefinite or reserved length")
        width = 1 << (short - 24)
        need(at + width <= len(data), "CBOR: cut short")
        number = int.from_bytes(data[at : at + width], "big")
        need(number >= (24 if width == 1 else 1 << (4 * width)), "CBOR: number is not the shortest")
        at += width
    need(major < 6, "CBOR: tag, floating point or simple value")
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major < 4:
        need(number <= len(data) - at, "CBOR: cut short")
        content = data[at : at + number]
        try:
            return (content if major == 2 else content.decode()), at + number
        except UnicodeDecodeError:
            raise Refused("CBOR: text is not UTF-8") from None
    need(depth < 16, "CBOR: nested too deep")
    if major == 4:
        values = []
        for _ in range(number):
            value, at = item(data, at, depth + 1)
            values.append(value)
        return values, at
    entries, before = {}, b""
    for _ in range(number):
        start = at
        key, at = item(data, at, depth + 1)
        need(type(key) is str, "CBOR: a key that is not text")
        # Strictly ascending, so none comes twice. No key's encoding is empty, so the first one passes.
        need(before < data[start:at], "CBOR: keys out of order or twice")
        before = data[start:at]
        entries[key], at = item(data, at, depth + 1)
    return entries, at


def decode(data):
    value, end = item(data, 0)
    need(end == len(data), "CBOR: something behind the end")
    return value


def encode(value):
    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        power = next(power for power in range(4) if number < 1 << (8 << power))
        return bytes([major << 5 | 24 + power]) + number.to_bytes(1 << power, "big")

    if type(value) is bool:
        return b"\xf5" if value else b"\xf4"
    if type(value) is int:
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if type(value) is bytes:
        return head(2, len(value)) + value
    if type(value) is str:
        return head(3, len(value.encode())) + value.encode()
    if type(value) is list:
        return head(4, len(value)) + b"".join(map(encode, value))
    return head(5, len(value)) + b"".join(sorted(encode(key) + encode(entry) for key, entry in value.items()))


# What a value must be. Each of these makes a function that returns a value as it is, or refuses it.


def number(low, high):
    def check(value):
        need(type(value) is int and low <= value <= high, f"not a number from {low} to {high}: {value!r:.40}")
        return value

    return check


def octets(low, high=None):
    def check(value):
        need(type(value) is bytes and low <= len(value) <= (high or low), f"not bytes({low}, {high or low})")
        return value

    return check


def row(*columns):
    def check(value):
        need(type(value) is list and len(value) == len(columns), f"not an array of {len(columns)}")
        return [column(entry) for column, entry in zip(columns, value)]

    return check


def rows(low, high, column):
    def check(value):
        need(type(value) is list and low <= len(value) <= high, f"not an array of {low} to {high}")
        return [column(entry) for entry in value]

    return check


def record(optional=(), **columns):
    def check(value):
        need(type(value) is dict, "not a map")
        for key in value:
            need(key in columns, f"unknown key {key!r:.40}")
        for key in columns:
            need(key in value or key in optional, f"missing key {key!r}")
        return {key: columns[key](entry) for key, entry in value.items()}

    return check


def one_of(**kinds):
    """A map of one entry, whose key says what the value is."""

    def check(value):
        need(type(value) is dict and len(value) == 1, "not a map of one entry")
        [(kind, entry)] = value.items()
        need(kind in kinds, f"content of another kind: {kind!r:.40}")
        return {kind: kinds[kind](entry)}

    return check


def true(value):
    need(value is True, "not true")
    return value


def text(pattern):
    def check(value):
        need(type(value) is str and re.fullmatch(pattern, value), f"text is not {pattern}")
        return value

    return check


ANY_BYTES = octets(0, 1 << 64)
DAY = number(0, (1 << 32) - 1)
SECONDS = number(0, (1 << 53) - 1)
ONE = number(1, 1)  # versions, and the only suite
ID = KEY = ROOT = octets(32)
SIGNED = row(ANY_BYTES, octets(64))

# ---- 1. Conventions: hashes, ciphers, curves -------------------------------------------------------------------------


def H(label, data, key=b""):
    return blake2b(data, digest_size=32, key=key, person=label.encode()).digest()  # person is filled up with zeros


def K(key, label, data=b""):
    return H(label, data, key)


def lp(data):
    return len(data).to_bytes(8, "big") + data


def seal(key, plain, aad=b"", nonce=bytes(12)):
    return ChaCha20Poly1305(key).encrypt(nonce, plain, aad)


def unseal(key, sealed, aad=b"", nonce=bytes(12)):
    need(len(sealed) >= 16, "too short for a cipher's tag")
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused("does not open under this key") from None


def stream(key, length):
    """ChaCha20 alone. The package wants the counter, 4 bytes, before the nonce; both are 0."""
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(length))


def xor(one, other):
    need(len(one) == len(other), "XOR of different lengths")
    return bytes(a ^ b for a, b in zip(one, other))


def x25519(private, public):
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # the package, too, refuses what comes out all zero
        raise Refused("shared secret is all zero") from None
    need(any(shared), "shared secret is all zero")
    return shared


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def key_tag(public):
    return H("mailbag/1 tag", public)[:8]


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, P) % P


def check_point(data, what):
    """Refuses what is no point of Ed25519, is not its canonical encoding, or has a small order (divides 8)."""
    y, odd = int.from_bytes(data, "little") & ((1 << 255) - 1), data[31] >> 7
    need(y < P, f"{what} is not canonical: y")
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    need(x * x % P == square, f"{what} is not on the curve")
    need(x or not odd, f"{what} is not canonical: sign of zero")
    # The sign of x makes no difference to the order. Doubled three times, a point of small order is the neutral (0, 1).
    for _ in range(3):
        t = CURVE_D * x * x * y * y
        x, y = 2 * x * y * pow(1 + t, -1, P) % P, (y * y + x * x) * pow(1 - t, -1, P) % P
    need((x, y) != (0, 1), f"{what} has a small order")


def D16(label):
    return label.encode().ljust(16, b"\0")


def verify(public, label, message, signature):
    """The package compares encodings of R, so without cofactor; what it may take beyond section 1 is refused before."""
    check_point(public, "the public key")
    check_point(signature[:32], "R")
    need(int.from_bytes(signature[32:], "little") < ORDER, "S is not canonical")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, D16(label) + message)
    except InvalidSignature:
        raise Refused("the signature does not verify") from None


# ---- 1. Conventions: text forms --------------------------------------------------------------------------------------

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def to_symbols(data, alphabet):
    bits = "".join(f"{octet:08b}" for octet in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(alphabet[int(bits[i : i + 5], 2)] for i in range(0, len(bits), 5))


def from_symbols(symbols, alphabet):
    need(all(symbol in alphabet for symbol in symbols), "a character that is not of the alphabet")
    bits = "".join(f"{alphabet.index(symbol):05b}" for symbol in symbols)
    whole = len(bits) // 8 * 8
    need(len(bits) - whole < 5, "a last character too many")
    need("1" not in bits[whole:], "bits that fill up the last character are not zero")
    return bytes(int(bits[i : i + 8], 2) for i in range(0, whole, 8))


def b32(data):
    return to_symbols(data, BASE32)


def from_b32(symbols, length):
    data = from_symbols(symbols, BASE32)
    need(len(data) == length, "base32 of another length")
    return data


def checksum(prefix, values):
    """The polynomial of BIP 173 over the prefix and values; BIP 350 wants this constant to come out of a whole text."""
    state = 1
    for value in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= generator if top >> bit & 1 else 0
    return state ^ 0x2BC830A3


def bech32m(prefix, data):
    symbols = to_symbols(data, BECH32)
    check = checksum(prefix, [BECH32.index(symbol) for symbol in symbols] + [0] * 6)
    return prefix + "1" + symbols + "".join(BECH32[check >> 5 * (5 - i) & 31] for i in range(6))


def from_bech32m(prefix, written):
    need(written.isascii() and len(written) <= 1023, "bech32m: not ASCII or too long")
    need(written in (written.lower(), written.upper()), "bech32m: mixed case")
    found, _, symbols = written.lower().rpartition("1")
    need(found == prefix, f"bech32m: the prefix is not {prefix}")
    need(len(symbols) >= 6 and all(symbol in BECH32 for symbol in symbols), "bech32m: characters")
    need(checksum(prefix, [BECH32.index(symbol) for symbol in symbols]) == 0, "bech32m: checksum")
    return from_symbols(symbols[:-6], BECH32)


def node_text(node):
    return bech32m("mbn", node)


def from_node_text(written):
    return octets(32)(from_bech32m("mbn", written))


def area_text(area):
    return bech32m("mba", area)


def read_id(case):
    if case["type"] == "node":
        return {"bytes": from_node_text(case["text"]).hex()}
    if case["type"] == "area":
        return {"bytes": octets(32)(from_bech32m("mba", case["text"])).hex()}
    length = {"packet": 32, "letter": 32, "message": 32, "root": 32, "tag": 8}[case["type"]]
    return {"bytes": from_b32(case["text"], length).hex()}


def read_hashes(case):
    hashes = [dict(given) for given in case["hashes"]]
    for given in hashes:
        key = bytes.fromhex(given["key"] or "")
        given["digest"] = H(given["label"], bytes.fromhex(given["input"]), key).hex()
    return {"hashes": hashes}


# ---- 2. Node, card, statement ----------------------------------------------------------------------------------------


class Secrets:
    """What follows from a node's seed."""

    def __init__(self, seed):
        self.identity_seed = K(seed, "mailbag/1 ident")
        self.call_secret = K(seed, "mailbag/1 call")
        self.coin_secret = K(seed, "mailbag/1 coin")
        self.store_secret = K(seed, "mailbag/1 store")
        self.signer = Ed25519PrivateKey.from_private_bytes(self.identity_seed)
        self.identity = self.signer.public_key().public_bytes_raw()
        self.id = node_id(self.identity)
        self.call_public = x25519_public(self.call_secret)

    def sign(self, label, message):
        return self.signer.sign(D16(label) + message)


def node_id(identity):
    return H("mailbag/1 node", identity)


STATEMENT = record(
    v=ONE,
    body=ANY_BYTES,
    kind=text("card|receipt|complaint|step|area|settings|want|subscribe"),
    issuer=KEY,
    created=SECONDS,
    version=number(1, (1 << 53) - 1),
)
CARD_NAME = text("[a-z0-9][a-z0-9_.-]{0,31}")
CARD = record(call=KEY, keys=rows(1, 8, row(ONE, KEY, DAY, DAY)), name=CARD_NAME)


def open_statement(data, kind=None):
    signed, signature = SIGNED(decode(data))
    statement = STATEMENT(decode(signed))
    verify(statement["issuer"], "mailbag/1 stmt", signed, signature)
    need(kind in (None, statement["kind"]), f"not a statement of kind {kind}")
    return statement


def write_statement(node, kind, created, version, body):
    statement = {"v": 1, "kind": kind, "issuer": node.identity, "created": created, "version": version}
    signed = encode(statement | {"body": encode(body)})
    return encode([signed, node.sign("mailbag/1 stmt", signed)])


def read_statement(case):
    statement = open_statement(bytes.fromhex(case["statement"]))
    return {
        "statement_kind": statement["kind"],
        "issuer": statement["issuer"].hex(),
        "created": statement["created"],
        "version": statement["version"],
        "body": statement["body"].hex(),
    }


def pick(keys, today):
    """The key that a sender takes on a day, or None. Only one comes into question: no earlier one replaces it."""
    for _, public, use_until, gone_after in reversed(keys):
        if use_until == 0 or today <= use_until:
            return public.hex() if gone_after == 0 or today <= gone_after else None
    return None


def open_card(data):
    need(len(data) <= 600, "a card of more than 600 bytes")
    statement = open_statement(data, "card")
    return statement, CARD(decode(statement["body"]))


def read_card(case):
    data = from_bech32m("mbcard", case["text"])
    statement, card = open_card(data)
    found = {
        "bytes": data.hex(),
        "id": node_text(node_id(statement["issuer"])),
        "identity": statement["issuer"].hex(),
        "call": card["call"].hex(),
        "name": card["name"],
        "version": statement["version"],
        "created": statement["created"],
        "keys": [
            {
                "suite": suite,
                "public": public.hex(),
                "tag": b32(key_tag(public)),
                "use_until": use_until,
                "gone_after": gone_after,
            }
            for suite, public, use_until, gone_after in card["keys"]
        ],
        "picks": [{"today": day["today"], "public": pick(card["keys"], day["today"])} for day in case.get("picks", [])],
    }
    if "seed" in case:  # then the node can write the same card again
        node = Secrets(bytes.fromhex(case["seed"]))
        body = {"call": node.call_public, "keys": card["keys"], "name": card["name"]}
        found["bytes"] = write_statement(node, "card", statement["created"], statement["version"], body).hex()
    return found


# ---- 3. Envelope, 4. Seal --------------------------------------------------------------------------------------------


def padme(length):
    if length < 2:
        return length
    e = length.bit_length() - 1
    s = e.bit_length()
    m = (1 << (e - s)) - 1
    return (length + m) & ~m


def size_class(length):
    return next((size for size in (512, 1024, 2048, 4096) if length <= size), None) or padme(length)


def read_sizes(case):
    return {
        "padme": [[length, padme(length)] for length, _ in case["padme"]],
        "class": [[length, size_class(length)] for length, _ in case["class"]],
    }


def body_size(value):
    """A size that a body can have, by section 5."""
    plain_size(number(0, 1 << 64)(value))
    return value


BODIES = rows(0, 1024, row(ROOT, body_size))
PREFIX = record(
    v=ONE,
    to=ID,
    end=DAY,
    tag=octets(8),
    nice=number(1, 255),
    share=KEY,
    suite=ONE,
    bodies=BODIES,
    commit=octets(32),
)


def payload(value):
    """Of one length from hop to hop: that of section 10."""
    octets(0, 262_144)(value)
    need(size_class(len(value)) == len(value), "a payload whose length is no size class")
    return value


UNREAD = octets(0, 600)  # where a statement of section 11 or 12 lies
ROUTED = record(
    key=octets(8),
    tag=octets(32),
    block=octets(2048),
    share=KEY,
    trace=rows(1, 8, UNREAD),
    commit=octets(32),
    payload=payload,
    optional=("trace",),
)
INNER = record(
    ask=true,
    sig=octets(64),
    hops=number(1, 16),
    content=one_of(
        letter=SIGNED,
        routed=ROUTED,
        confirm=rows(1, 512, octets(32)),
        reports=rows(1, 64, row(octets(32), UNREAD)),
        area=row(ANY_BYTES, ANY_BYTES, octets(64)),
        statement=octets(0, 240_000),
    ),
    optional=("ask",),
    **{"from": ID},
)


def no_root_twice(bodies):
    roots = [root for root, _ in bodies]
    need(len(set(roots)) == len(roots), "a root twice")


def open_prefix(file):
    """The prefix, and how long items 1 and 2 are: what anybody can see of an envelope."""
    need(len(file) <= 262_144 and size_class(len(file)) == len(file), "the length is no size class, or too long")
    content, end = item(file, 0)
    need(type(content) is bytes and len(content) <= 65_536, "item 1 is no byte string of at most 65,536")
    need(file[end : end + 1] == b"\xf6", "the stamp is not null")
    need(len(file) - end - 1 >= 4 + 16, "no room for a sealed part")
    prefix = PREFIX(decode(content))
    no_root_twice(prefix["bodies"])
    return content, prefix, end + 1


def show_prefix(prefix):
    shown = {"to": node_text(prefix["to"]), "tag": b32(prefix["tag"])}
    shown |= {key: prefix[key].hex() for key in ("share", "commit")}
    shown |= {key: prefix[key] for key in ("end", "nice", "suite")}
    return shown | {"bodies": [{"root": b32(root), "size": size} for root, size in prefix["bodies"]]}


def packet_id(file):
    return b32(H("mailbag/1 packet", file))


def read_prefix(case):
    file = bytes.fromhex(case["file"])
    _, prefix, _ = open_prefix(file)
    return {"packet": packet_id(file), "prefix": show_prefix(prefix)}


def extract(z, context, share, public, node):
    """x, from which all keys come."""
    parts = (b"\x01", context, share, public, node, z)  # the first is the suite
    return H("mailbag/1 seal", b"".join(map(lp, parts)))


def agree(private, context, share, commit, node):
    """The reader's x; compares the commitment."""
    x = extract(x25519(private, share), context, share, x25519_public(private), node)
    need(K(x, "mailbag/1 commit") == commit, "the commitment is another")
    return x


def filled(head, content, least=0):
    """What is sealed behind a head: length, content, and zeros up to the size class."""
    plain = len(content).to_bytes(4, "big") + content
    return plain.ljust(size_class(max(least, len(head) + len(plain) + 16)) - len(head) - 16, b"\0")


def open_filled(x, file, start, least=0):
    """The content that is sealed behind the first bytes of a file."""
    plain = unseal(K(x, "mailbag/1 key"), file[start:], file[:start])
    size = int.from_bytes(plain[:4], "big")
    need(4 + size <= len(plain), "inner is longer than what holds it")
    need(size_class(max(least, start + 4 + size + 16)) == len(file), "padded to another size class")
    need(not any(plain[4 + size :]), "padding that is not zero")
    return plain[4 : 4 + size]


def terms(inner):
    return bytes([inner["hops"] + (128 if "ask" in inner else 0)])


def hop_message(prefix_bytes, to, inner):
    content = H("mailbag/1 hop", encode(inner["content"]))
    return H("mailbag/1 prefix", prefix_bytes) + inner["from"] + to + terms(inner) + content


def read_envelope(case):
    file = bytes.fromhex(case["file"])
    prefix_bytes, prefix, start = open_prefix(file)
    # What anybody can see; then whether it is for this reader and this key.
    private = bytes.fromhex(case["exchange"])
    public = x25519_public(private)
    need(prefix["to"] == from_node_text(case["to"]), "it is for another node")
    need(prefix["tag"] == key_tag(public), "it is for another key")
    x = agree(private, b"envelope", prefix["share"], prefix["commit"], prefix["to"])
    inner = INNER(decode(open_filled(x, file, start)))
    sender = bytes.fromhex(case["sender"])
    need(node_id(sender) == inner["from"], "it comes from another node")
    verify(sender, "mailbag/1 hop", hop_message(prefix_bytes, prefix["to"], inner), inner["sig"])
    found = {
        "packet": packet_id(file),
        "prefix": show_prefix(prefix),
        "from": node_text(inner["from"]),
        "hops": inner["hops"],
    }
    found |= {"ask": True} if "ask" in inner else {}
    [(kind, content)] = inner["content"].items()
    if kind == "letter":
        frame = prefix["to"], prefix["end"], list_hash(prefix["bodies"])
        signed, letter = open_letter(content, bytes.fromhex(case["author"]), *frame)
        found["letter"] = {"id": b32(H("mailbag/1 letter", signed))} | show_letter(letter)
    elif kind == "routed":
        found["routed"] = show_routed(content)
    elif kind == "area":
        message, letter = read_message(case, prefix, content)
        found |= message
    else:
        need(not prefix["bodies"], "a confirmation, reports or a statement with bodies")
    if kind == "reports":
        found["reports"] = [[b32(packet), said.hex()] for packet, said in content]
    if kind == "statement":
        found["statement"] = content.hex()
    if kind == "confirm":
        found["confirm"] = [b32(packet) for packet in content]
    if "sender_seed" in case:  # then the nodes can write the same file again
        written = inner["content"]
        if kind == "letter":
            written = {"letter": sign_letter(case["author_seed"], letter)}
        elif kind == "area":
            written = {"area": write_message(case, content[0], letter)}
        s, again = write_envelope(case["sender_seed"], prefix, inner, written, public)
        found |= {"coins": s.hex(), "file": again.hex()}
    return found


def sign_letter(author_seed, letter):
    author = Secrets(bytes.fromhex(author_seed))
    signed = encode(letter | {"author": author.id})
    return [signed, author.sign("mailbag/1 letter", signed)]


def write_envelope(sender_seed, prefix, inner, content, public):
    """The private half of the share, and the file, as the rule for coins has it."""
    sender = Secrets(bytes.fromhex(sender_seed))
    core = {key: value for key, value in prefix.items() if key not in ("share", "commit")}
    written = {key: inner[key] for key in ("ask", "hops") if key in inner} | {"from": sender.id, "content": content}
    sealed = sender.id + terms(inner) + encode(content)
    s = K(sender.coin_secret, "mailbag/1 coins", lp(encode(core)) + lp(public) + sealed)
    share = x25519_public(s)
    x = extract(x25519(s, public), b"envelope", share, public, prefix["to"])
    prefix_bytes = encode(core | {"share": share, "commit": K(x, "mailbag/1 commit")})
    written["sig"] = sender.sign("mailbag/1 hop", hop_message(prefix_bytes, prefix["to"], written))
    clear = encode(prefix_bytes) + b"\xf6"
    return s, clear + seal(K(x, "mailbag/1 key"), filled(clear, encode(written)), clear)


# ---- 5. Body ---------------------------------------------------------------------------------------------------------

CHUNK = 65_536 + 16


def plain_size(size):
    """How long the plaintext of a body is; refuses a size that none can have."""
    chunks = max(1, -(-size // CHUNK))
    last = size - (chunks - 1) * CHUNK
    need(chunks <= 16_384, "a body of too many chunks")
    need(last >= (16 if chunks == 1 else 17), "a body's last chunk is too short")
    return size - 16 * chunks


def top(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return H("mailbag/1 join", top(leaves[:k]) + top(leaves[k:]))


def tree_root(size, leaves):
    return H("mailbag/1 root", size.to_bytes(8, "big") + top(leaves))


def read_trees(case):
    trees = [dict(given) for given in case["trees"]]
    for given in trees:
        given["root"] = b32(tree_root(given["size"], [bytes.fromhex(leaf) for leaf in given["leaves"]]))
    return {"trees": trees}


def nonce(index, last):
    return index.to_bytes(11, "big") + bytes([last])


def pattern(start, length):
    """The README's pattern; it repeats after 251 × 256 bytes."""
    period = bytes((j * 7 + j // 251) % 256 for j in range(251 * 256))
    skipped = start % len(period)
    return (period * ((skipped + length) // len(period) + 1))[skipped : skipped + length]


def build_body(case):
    """The file of a case that describes its chunks instead of holding them."""
    file = bytearray()
    for chunk in case["chunks"]:
        plain = pattern(chunk["start"], chunk["len"])
        sealed = bytearray(seal(bytes.fromhex(case["key"]), plain, nonce=nonce(chunk["index"], chunk["last"])))
        if "flip" in chunk:
            sealed[chunk["flip"]] ^= 1
        file += sealed
    return bytes(file[: len(file) - case.get("cut", 0)])


def read_body(case):
    file = bytes.fromhex(case["body"]) if "body" in case else build_body(case)
    key, root, size = bytes.fromhex(case["key"]), from_b32(case["root"], 32), case["size"]
    length = plain_size(size)
    need(len(file) == size, "the file is not of the body's size")
    chunks = [file[start : start + CHUNK] for start in range(0, size, CHUNK)]
    need(tree_root(size, [H("mailbag/1 leaf", chunk) for chunk in chunks]) == root, "the root is another")
    end = len(chunks) - 1
    plain = b"".join(unseal(key, chunk, nonce=nonce(i, i == end)) for i, chunk in enumerate(chunks))
    if "chunks" in case:
        need(plain == pattern(0, length), "the plaintext is not the pattern")
        return {"plain_len": length}
    return {"plain_len": length, "plain": plain.hex()}


# ---- 6. Letter -------------------------------------------------------------------------------------------------------

MODE = number(0, 0o777)
MTIME = row(number(-(1 << 63), (1 << 63) - 1), number(0, 10**9 - 1))


def path(value):
    octets(1, 4096)(value)
    for component in value.split(b"/"):
        need(1 <= len(component) <= 255, "a path's component is empty or too long")
        need(component not in (b".", b"..") and b"\0" not in component, "a path's component is '.', '..' or has a NUL")
    return value


def handle(value):
    return text("[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")(value)


def args(value):
    rows(0, 256, octets(0, 16_384))(value)
    need(sum(map(len, value)) <= 16_384, "the arguments are too long")
    need(not any(b"\0" in argument for argument in value), "an argument has a NUL")
    return value


def flag(value):
    need(type(value) is bool, "neither true nor false")
    return value


def request(value):
    value = record(list=flag, path=octets(0, 4096))(value)
    if value["path"] or not value["list"]:
        path(value["path"])
    return value


KIND = one_of(
    file=record(re=ID, form=text("plain|folder"), mode=MODE, path=path, mtime=MTIME, optional=("re",)),
    exec=record(args=args, handle=handle),
    request=request,
)
WAY_BACK = record(
    end=DAY,
    key=octets(8),
    tag=octets(32),
    nice=number(1, 255),
    seal=octets(32),
    block=octets(2048),
    share=KEY,
    commit=octets(32),
)
LETTER = record(
    v=ONE,
    to=ID,
    end=DAY,
    fwd=record(card=ANY_BYTES, letter=SIGNED),
    kind=KIND,
    post=record(re=octets(32), card=ANY_BYTES, head=octets(32), optional=("re",)),
    salt=octets(16),
    time=SECONDS,
    reply=WAY_BACK,
    wants=number(1, 3),
    author=ID,
    bodies=rows(0, 1024, row(ROOT, body_size, KEY, number(1, 1 << 30), number(0, 1))),
    inline=octets(0, 32_768),
    optional=("fwd", "inline", "post", "reply", "wants"),
)


def check_forwarded(outer):
    """The letter to a list that the list sends on, in a letter of its own (section 6, lists)."""
    signed, signature = outer["fwd"]["letter"]
    author, inner = open_card(outer["fwd"]["card"])[0]["issuer"], LETTER(decode(signed))
    need(node_id(author) == inner["author"], "the author's letter is not of the node of the card")
    verify(author, "mailbag/1 letter", signed, signature)
    need(inner["to"] == outer["author"], "the author's letter is not to the list")
    need(all(inner.get(key) == outer.get(key) for key in ("kind", "bodies", "inline")), "the list says something else")
    need(inner["end"] >= outer["end"], "the list's letter ends after its author's")
    need(not {"fwd", "post", "reply"} & inner.keys(), "a letter that no list sends on")
    need("post" not in outer, "a list's letter to an area")


def list_hash(bodies):
    return H("mailbag/1 list", b"".join(root + size.to_bytes(8, "big") for root, size in bodies))


def open_letter(signed_letter, author, to, end, bodies, head=None):
    """What it lies in says whom it is for, a day, and the hash of a list of bodies. In an area message that has a head,
    and the author's key is that of the card in the letter."""
    signed, signature = signed_letter
    letter = LETTER(decode(signed))
    need(("post" in letter) == (head is not None), "a letter to a node in an area message, or the other way round")
    if head is not None:
        need("reply" not in letter and "wants" not in letter, "something wanted of an area")
        need("request" not in letter["kind"], "something asked of an area")
        need(letter["post"]["head"] == H("mailbag/1 head", head), "written for another head")
        author = open_card(letter["post"]["card"])[0]["issuer"]
    need(node_id(author) == letter["author"], "the letter is another author's")
    verify(author, "mailbag/1 letter", signed, signature)
    need(letter["to"] == to, "the letter is for somebody else")
    need(end <= letter["end"], "what it lies in ends later than the letter")
    need(list_hash(body[:2] for body in letter["bodies"]) == bodies, "the bodies are not those of what it lies in")
    need(("inline" in letter) == (not letter["bodies"]), "inline and bodies, or neither")
    need("reply" not in letter or letter.get("wants", 0) & 1, "a way back for a receipt that nobody wants")
    if "fwd" in letter:
        check_forwarded(letter)
    for _, size, _, length, codec in letter["bodies"]:
        need(plain_size(size) >= (length if codec == 0 else 1), "a body is too short for its range")
    need("request" not in letter["kind"] or letter.get("inline") == b"", "a request with a payload")
    return signed, letter


def show_kind(kind):
    [(word, value)] = kind.items()
    value = value | ({"path": value["path"].hex()} if "path" in value else {})
    value |= {"re": b32(value["re"])} if "re" in value else {}
    value |= {"args": [argument.hex() for argument in value["args"]]} if "args" in value else {}
    return {word: value}


def show_letter(letter):
    shown = {key: letter[key] for key in ("end", "time", "wants") if key in letter}
    shown |= {key: letter[key].hex() for key in ("salt", "inline") if key in letter}
    shown |= {key: encode(letter[key]).hex() for key in ("fwd", "reply") if key in letter}
    shown |= {"to": (area_text if "post" in letter else node_text)(letter["to"]), "author": node_text(letter["author"])}
    if "post" in letter:
        post = {"card": letter["post"]["card"].hex(), "head": letter["post"]["head"].hex()}
        shown["post"] = post | ({"re": b32(letter["post"]["re"])} if "re" in letter["post"] else {})
    shown["kind"] = show_kind(letter["kind"])
    shown["bodies"] = [
        {"root": b32(root), "size": size, "key": key.hex(), "length": length, "codec": codec}
        for root, size, key, length, codec in letter["bodies"]
    ]
    return shown


# ---- 7. Folder payload -----------------------------------------------------------------------------------------------


def entry_path(value):
    return value if value == b"" else path(value)


def no_nul(value):
    need(b"\0" not in octets(1, 4096)(value), "a target with a NUL")
    return value


ENTRIES = {
    "file": record(len=SECONDS, mode=MODE, path=entry_path, mtime=MTIME),
    "link": record(path=entry_path, mtime=MTIME, target=no_nul),
    "folder": record(mode=MODE, path=entry_path, mtime=MTIME),
}


def read_folder(case):
    payload = bytes.fromhex(case["payload"])
    at, before, folders, entries = 0, None, set(), []
    while at < len(payload):
        header, at = item(payload, at)
        need(type(header) is bytes and len(header) <= 16_384, "an entry is no byte string of at most 16,384")
        header = decode(header)
        need(type(header) is dict and len(header) == 1, "an entry is not a map of one")
        [(kind, entry)] = header.items()
        need(kind in ENTRIES, "an entry of another kind")
        entry = ENTRIES[kind](entry)
        # The folder itself has no components: it sorts before everything, and nothing sorts before it.
        components = entry["path"].split(b"/") if entry["path"] else []
        need(len(components) <= 128, "more than 128 components")
        if before is None:
            need(kind == "folder" and not components, "the first entry is not the folder itself")
        else:
            need(before < components, "entries out of order or twice")
            need(tuple(components[:-1]) in folders, "an entry whose parent is no folder that came before")
        before = components
        if kind == "folder":
            folders.add(tuple(components))
        shown = {"type": kind} | {key: value for key, value in entry.items() if key != "len"}
        if kind == "file":
            need(entry["len"] <= len(payload) - at, "a file is cut short")
            shown["content"] = payload[at : at + entry["len"]]
            at += entry["len"]
        entries.append({key: value.hex() if type(value) is bytes else value for key, value in shown.items()})
    need(entries, "not even the folder itself")
    return {"entries": entries}


# ---- 8. Key files ----------------------------------------------------------------------------------------------------

SECRET = record(node=octets(32))
SEALED = record(
    m=number(8, 1_048_576),
    p=number(1, 16),
    t=number(1, 16),
    v=ONE,
    box=octets(56),
    salt=octets(16),
)
EXCHANGE_KEY = record(v=ONE, box=octets(48), public=KEY)


def read_nodekey(case):
    if "secret" in case:
        secret = from_bech32m("mbsecret", case["secret"])
    else:
        sealed = SEALED(decode(from_bech32m("mbsealed", case["sealed"])))
        m, p, t = (sealed[key] for key in "mpt")
        need(m >= 8 * p, "less memory than the lanes need")
        argon2 = Argon2id(salt=sealed["salt"], length=32, iterations=t, lanes=p, memory_cost=m)
        secret = unseal(argon2.derive(case["passphrase"].encode()), sealed["box"])
    seed = SECRET(decode(secret))["node"]
    node = Secrets(seed)
    found = {"seed": seed.hex(), "id": node_text(node.id)}
    for key in ("identity", "call_public", "identity_seed", "call_secret", "coin_secret", "store_secret"):
        found[key] = getattr(node, key).hex()
    return found


def read_exchangekey(case):
    file = EXCHANGE_KEY(decode(bytes.fromhex(case["file"])))
    store = Secrets(bytes.fromhex(case["seed"])).store_secret
    private = unseal(K(store, "mailbag/1 store", file["public"]), file["box"])
    need(x25519_public(private) == file["public"], "the private key is another's")
    return {"private": private.hex(), "public": file["public"].hex(), "tag": b32(key_tag(file["public"]))}


# ---- 10. Routes ------------------------------------------------------------------------------------------------------

SLOTS, SLOT = 8, 256
BLOCK = SLOTS * SLOT
LAST, ONION, RECEIPT = 1, 2, 4
LEAST = 4096  # bytes of an onion's payload
WEEK = 7 * 86_400


def show_routed(routed):
    shown = {key: value.hex() for key, value in routed.items() if key not in ("key", "trace")}
    shown |= {"trace": [step.hex() for step in routed["trace"]]} if "trace" in routed else {}
    return shown | {"key": b32(routed["key"])}


def block_stream(x):
    return stream(K(x, "mailbag/1 block"), BLOCK + SLOT)


def block_tag(x, block):
    return K(K(x, "mailbag/1 mac"), "mailbag/1 slot", block)


def pay(x, payload):
    return xor(payload, stream(K(x, "mailbag/1 pay"), len(payload)))


def veil(x, files):
    """All bodies of an onion with what one hop puts on them."""
    keys = (K(x, "mailbag/1 veil", n.to_bytes(8, "big")) for n in range(len(files)))
    return [xor(file, stream(key, len(file))) for key, file in zip(keys, files)]


def body_name(file):
    leaves = [H("mailbag/1 leaf", file[start : start + CHUNK]) for start in range(0, len(file), CHUNK)]
    return [tree_root(len(file), leaves), len(file)]


def cut(data, *lengths):
    """Pieces of these lengths."""
    pieces = []
    for length in lengths:
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def load(payload, bare):
    """Of an onion without bodies slots say nothing of the payload."""
    return bytes(32) if bare else H("mailbag/1 load", payload)


def open_slot(slot):
    node, key, share, commit, tag, load, arriving, leaving, end, nice, flags, hold, zeros = cut(
        slot, 32, 8, 32, 32, 32, 32, 32, 32, 4, 1, 1, 4, 14
    )
    end, nice, flags, hold = (int.from_bytes(value, "big") for value in (end, nice, flags, hold))
    need(not any(zeros), "a slot's end is not zero")
    need(flags & ~(LAST | ONION | RECEIPT) == 0, "other flags")
    need(flags & (ONION | RECEIPT) != ONION | RECEIPT, "an onion asks for no receipts")
    need(nice >= 1, "nice is 0")
    need(hold <= WEEK, "held for more than 7 days")
    onion, last = bool(flags & ONION), bool(flags & LAST)
    need(onion or arriving == leaving, "other bodies leave than come, and it is no onion")
    if last:
        need(not any(slot[:136]), "something for a next hop in the last slot")
        need(hold == 0, "held at the last hop")
    else:
        need(any(node), "no next hop")
    known = {"load": load, "arriving": arriving, "leaving": leaving, "end": end, "nice": nice, "hold": hold}
    following = None if last else {"key": key, "share": share, "commit": commit, "tag": tag}
    known |= {"onion": onion, "receipt": bool(flags & RECEIPT)}
    return known | ({} if last else {"next": node}), following


def show_slot(slot):
    shown = {key: value.hex() if type(value) is bytes else value for key, value in slot.items()}
    return shown | ({"next": node_text(slot["next"])} if "next" in slot else {})


def read_hop(hop, routed, files):
    """What one hop finds: its slot, the same for the next hop or None, the payload and the bodies as they leave."""
    own, private = from_node_text(hop["to"]), bytes.fromhex(hop["exchange"])
    need(routed["key"] == key_tag(x25519_public(private)), "it is for another key")
    x = agree(private, b"route", routed["share"], routed["commit"], own)
    need(block_tag(x, routed["block"]) == routed["tag"], "the tag is another")
    opened = xor(routed["block"] + bytes(SLOT), block_stream(x))
    slot, following = open_slot(opened[:SLOT])
    need(not (slot["onion"] and "trace" in routed), "an onion with a trace")
    need(not slot["onion"] or len(routed["payload"]) >= LEAST, "an onion's payload is too short")
    need(load(routed["payload"], slot["onion"] and not hop["bodies"]) == slot["load"], "the payload is another")
    bodies = [[from_b32(body["root"], 32), body["size"]] for body in hop["bodies"]]
    need(list_hash(bodies) == slot["arriving"], "the bodies are others")
    need(hop["end"] <= slot["end"], "the prefix ends later than the slot")
    if files is not None:
        need([body_name(file) for file in files] == bodies, "the files are not the bodies that came")
        files = veil(x, files) if slot["onion"] else files
        need(list_hash(map(body_name, files)) == slot["leaving"], "the files are not the bodies that leave")
    payload = pay(x, routed["payload"])
    if following:  # a trace goes on as it came: a step is added by whoever wraps it
        kept = {key: routed[key] for key in ("trace",) if key in routed}
        following |= kept | {"block": opened[SLOT:], "payload": payload}
    return slot, following, payload, files


def read_hops(case):
    first = case["hops"][0]
    given = dict(first["routed"])
    routed = {"key": from_b32(given.pop("key"), 8)}
    routed |= {"trace": [bytes.fromhex(step) for step in given.pop("trace")]} if "trace" in given else {}
    routed = ROUTED(routed | {key: bytes.fromhex(value) for key, value in given.items()})
    files = [bytes.fromhex(file) for file in first["files"]] if "files" in first else None
    slots, hops = [], []
    for hop in case["hops"]:
        shown = {key: hop[key] for key in ("to", "exchange", "end", "bodies")} | {"routed": show_routed(routed)}
        shown |= {"files": [file.hex() for file in files]} if files is not None else {}
        slot, routed, payload, files = read_hop(hop, routed, files)
        slots.append(slot)
        hops.append(shown | {"slot": show_slot(slot)})
    return hops, slots, routed, payload, files


def read_route(case):
    """Each hop reads what the one before it made; the first what the case gives."""
    hops, slots, routed, payload, files = read_hops(case)
    hop = case["hops"][-1]
    if routed is not None:  # what is given ends before the last hop
        return {"hops": hops}
    slot = slots[-1]
    # The letter, sealed to the same key.
    own, private = from_node_text(hop["to"]), bytes.fromhex(hop["exchange"])
    x = agree(private, b"letter", payload[:32], payload[32:64], own)
    signed_letter = SIGNED(decode(open_filled(x, payload, 64, LEAST if slot["onion"] else 0)))
    frame = own, slot["end"], slot["leaving"]
    signed, letter = open_letter(signed_letter, bytes.fromhex(case["author"]), *frame)
    found = {"hops": hops, "letter": {"id": b32(H("mailbag/1 letter", signed))} | show_letter(letter)}
    if files is not None:
        keys = (body[2] for body in letter["bodies"])
        found["plain"] = [unseal(key, file, nonce=nonce(0, True)).hex() for key, file in zip(keys, files)]
    if "author_seed" in case:  # then the author can make the same again
        coins, letter_coins, again = write_route(case, slots, letter)
        hops[0]["routed"] |= show_routed(again)
        found["coins"] = letter_coins.hex()
        for hop, s in zip(hops, coins):
            hop["coins"] = s.hex()
    return found


def author_of(case):
    """What the author has to begin with: the hops, his coins for a purpose, those of the hops, and x of each."""
    author, salt = Secrets(bytes.fromhex(case["author_seed"])), bytes.fromhex(case["salt"])
    readers = [(x25519_public(bytes.fromhex(hop["exchange"])), from_node_text(hop["to"])) for hop in case["hops"]]

    def coins(purpose, data=b""):
        return K(author.coin_secret, "mailbag/1 coins", lp(purpose) + salt + data)

    all_coins = [coins(b"route", bytes([i]) + lp(public) + node) for i, (public, node) in enumerate(readers)]
    xs = [
        extract(x25519(s, public), b"route", x25519_public(s), public, node)
        for s, (public, node) in zip(all_coins, readers)
    ]
    return readers, coins, all_coins, xs


def write_route(case, slots, letter):
    """The private halves of the shares, that of the letter, and what is handed to the first hop."""
    readers, coins, all_coins, xs = author_of(case)
    # The letter, under the keystreams of all hops: one payload for each.
    signed_letter = encode(sign_letter(case["author_seed"], letter))
    public, node = readers[-1]
    s = coins(b"letter", lp(public) + node + signed_letter)
    share = x25519_public(s)
    x = extract(x25519(s, public), b"letter", share, public, node)
    head = share + K(x, "mailbag/1 commit")
    least = LEAST if slots[0]["onion"] else 0
    payloads = [head + seal(K(x, "mailbag/1 key"), filled(head, signed_letter, least), head)]
    for x in reversed(xs):
        payloads.insert(0, pay(x, payloads[0]))
    return all_coins, s, write_blocks(slots, readers, coins, all_coins, xs, payloads)


def write_blocks(slots, readers, coins, all_coins, xs, payloads):
    """What is handed to the first hop. The payloads are those that come to each."""
    # What the zeros of the hops before the last one have become there.
    count, filler = len(xs), b""
    for i, x in enumerate(xs[:-1], 1):
        filler = xor(filler + bytes(SLOT), block_stream(x)[BLOCK + SLOT - SLOT * i :])
    following = None
    for i, x in reversed(list(enumerate(xs))):
        slot = write_slot(slots[i], readers[i + 1][1] if following else None, following, payloads[i])
        if following:
            block = xor(slot + following["block"][: BLOCK - SLOT], block_stream(x)[:BLOCK])
        else:
            random = stream(coins(b"filler"), SLOT * (SLOTS - count))
            block = xor(slot + random, block_stream(x)[: BLOCK + SLOT - SLOT * count]) + filler
        following = {
            "key": key_tag(readers[i][0]),
            "tag": block_tag(x, block),
            "block": block,
            "share": x25519_public(all_coins[i]),
            "commit": K(x, "mailbag/1 commit"),
            "payload": payloads[i],
        }
    return following


def write_slot(terms, node, following, payload):
    """The terms are those that were read: days, nice, and what bodies come and leave."""
    after = [node] + [following[key] for key in ("key", "share", "commit", "tag")] if following else [bytes(136)]
    flags = (0 if following else LAST) + (ONION if terms["onion"] else 0) + (RECEIPT if terms["receipt"] else 0)
    bare = terms["onion"] and terms["arriving"] == list_hash([])
    parts = after + [load(payload, bare), terms["arriving"], terms["leaving"], terms["end"].to_bytes(4, "big")]
    parts += [bytes([terms["nice"], flags]), terms["hold"].to_bytes(4, "big"), bytes(14)]
    return b"".join(parts)


# ---- 11. Receipts and complaints, 12. Traces -------------------------------------------------------------------------

STAGES = ["accepted", "stalled", "handed", "expired", "refused", "delivered"]
RECEIPT_BODY = record(why=text(r"(?s:.+)"), about=octets(32), stage=text("|".join(STAGES)), optional=("why",))
COMPLAINT_BODY = record(about=ID, reason=text("spam|forged|flood|other"))
STEP_BODY = record(next=ID, before=octets(32), letter=ID)


def open_said(data, kind, body):
    """A statement of these sections: itself, and its body."""
    need(len(data) <= 600, "a statement of more than 600 bytes")
    statement = open_statement(data, kind)
    return statement, body(decode(statement["body"]))


def show_said(statement):
    issuer = node_text(node_id(statement["issuer"]))
    return {"issuer": issuer, "time": statement["created"], "version": statement["version"]}


def read_receipt(case):
    statement, said = open_said(bytes.fromhex(case["statement"]), "receipt", RECEIPT_BODY)
    need(("why" in said) == (said["stage"] == "refused"), "a reason out of place, or missing")
    need(len(said.get("why", "").encode()) <= 200, "a reason of more than 200 bytes")
    found = show_said(statement) | said | {"about": said["about"].hex()}
    if "seed" in case:  # then the node can say the same again
        node, time = Secrets(bytes.fromhex(case["seed"])), statement["created"]
        version = max(1, 8 * time + STAGES.index(said["stage"]))
        found["statement"] = write_statement(node, "receipt", time, version, said).hex()
    return found


def read_complaint(case):
    statement, said = open_said(bytes.fromhex(case["statement"]), "complaint", COMPLAINT_BODY)
    found = show_said(statement) | {"about": b32(said["about"]), "complaint_reason": said["reason"]}
    if "seed" in case:
        node = Secrets(bytes.fromhex(case["seed"]))
        found["statement"] = write_statement(node, "complaint", statement["created"], 1, said).hex()
    return found


def read_trace(case):
    steps = rows(1, 8, UNREAD)([bytes.fromhex(step) for step in case["trace"]])
    shown, bodies, before = [], [], bytes(32)
    for step in steps:
        statement, body = open_said(step, "step", STEP_BODY)
        issuer = node_id(statement["issuer"])
        need(body["before"] == before, "not the step before")
        if bodies:
            need(bodies[-1]["next"] == issuer, "by another than the step before leads to")
            need(bodies[-1]["letter"] == body["letter"], "of another letter")
        before = H("mailbag/1 step", step)
        bodies.append(body)
        shown.append({"node": node_text(issuer), "next": node_text(body["next"]), "time": statement["created"]})
    found = {"letter": b32(body["letter"]), "steps": shown}
    if "seeds" in case:  # then the nodes can go the same way again
        nodes = [Secrets(bytes.fromhex(seed)) for seed in case["seeds"]]
        again, before = [], bytes(32)
        for node, body, told in zip(nodes, bodies, shown):
            again.append(write_statement(node, "step", told["time"], 1, body | {"before": before}))
            before = H("mailbag/1 step", again[-1])
        found["trace"] = [step.hex() for step in again]
    return found


# ---- 13. Replies -----------------------------------------------------------------------------------------------------


def answer(one_time, statement):
    """What the one who answers hands to the first hop."""
    salt = K(one_time, "mailbag/1 commit", statement)
    plain = (len(statement).to_bytes(4, "big") + statement).ljust(LEAST - 32 - 16, b"\0")
    return salt + seal(K(one_time, "mailbag/1 key", salt), plain)


def read_reply(case):
    """The author, at the end of his way back."""
    hops, slots, following, payload, _ = read_hops(case)
    need(following is None, "the way back goes on")
    readers, coins, all_coins, xs = author_of(case)
    one_time = coins(b"reply")
    for x in xs:
        payload = pay(x, payload)
    plain = unseal(K(one_time, "mailbag/1 key", payload[:32]), payload[32:])
    size = int.from_bytes(plain[:4], "big")
    need(size <= 600, "longer than a statement")
    statement = plain[4 : 4 + size]
    need(answer(one_time, statement) == payload, "not what would be made of this statement")
    # The same again; what comes to each hop the slots do not say.
    again = write_blocks(slots, readers, coins, all_coins, xs, [b""] * len(xs))
    hops[0]["routed"] |= show_routed(again | {"payload": answer(one_time, statement)})
    for hop, s in zip(hops, all_coins):
        hop["coins"] = s.hex()
    return {"hops": hops, "statement": statement.hex(), "seal": one_time.hex()}


# ---- 14. Areas -------------------------------------------------------------------------------------------------------

AREA_CARD = record(
    mode=text("open|log|moderated"), name=CARD_NAME, post=KEY, read=KEY, salt=octets(16), optional=("post", "read")
)
AREA_SECRET = record(area=record(card=ANY_BYTES, post=KEY, read=KEY, optional=("post", "read")))
FROM_1 = number(1, (1 << 53) - 1)
HEAD = record(
    v=ONE,
    end=DAY,
    area=ID,
    post=KEY,
    epoch=FROM_1,
    share=KEY,
    suite=ONE,
    bodies=BODIES,
    commit=octets(32),
    version=FROM_1,
    optional=("epoch", "version"),
)
SETTINGS = record(
    area=ID,
    days=DAY,
    most=SECONDS,
    read=KEY,
    epoch=FROM_1,
    nodes=rows(0, 1000, ID),
    posts=rows(0, 1000, KEY),
    readers=rows(0, 1000, row(ID, octets(8), KEY, octets(32), octets(48))),
    optional=("days", "most"),
)


def summary(value):
    """Of a power of two of buckets."""
    need(type(value) is bytes and len(value) in [8 << k for k in range(14)], "not a summary")
    return value


WANT = record(area=ID, have=summary, version=SECONDS, optional=("have",))
SUBSCRIBE = record(area=ID, until=DAY)


def open_area_card(data):
    """The owner's identity key and the body, with the area's id, and the statement."""
    need(len(data) <= 600, "a card of more than 600 bytes")
    statement = open_statement(data, "area")
    need(statement["version"] == 1, "a version that no area's card has")
    card = AREA_CARD(decode(statement["body"]))
    for key in ("post", "read"):
        need((key in card) == (card["mode"] != "moderated"), "keys of another mode, or none")
    return statement, card | {"id": H("mailbag/1 area", statement["issuer"] + card["salt"])}


def read_areacard(case):
    data = from_bech32m("mbcard", case["text"])
    statement, card = open_area_card(data)
    found = {key: card[key].hex() for key in ("post", "read", "salt") if key in card}
    found |= {key: card[key] for key in ("mode", "name")}
    found |= {"id": area_text(card["id"]), "owner": node_text(node_id(statement["issuer"]))}
    found |= {"bytes": data.hex(), "created": statement["created"]}
    if "seed" in case:  # then the owner can write the same card again
        node, body = Secrets(bytes.fromhex(case["seed"])), {key: card[key] for key in card if key != "id"}
        found["bytes"] = write_statement(node, "area", statement["created"], 1, body).hex()
    return found


def ed25519_public(private):
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def read_areasecret(case):
    secret = AREA_SECRET(decode(from_bech32m("mbsecret", case["secret"])))["area"]
    _, card = open_area_card(secret["card"])
    need("post" in secret or "read" in secret, "neither to write nor to read")
    if card["mode"] == "moderated":
        need("read" not in secret, "a read key, which the settings have")
    else:
        for key, public in (("post", ed25519_public), ("read", x25519_public)):
            need(key not in secret or public(secret[key]) == card[key], f"{key} does not belong to the card")
    return {"id": area_text(card["id"])} | {key: value.hex() for key, value in secret.items()}


def open_settings(data):
    need(len(data) <= 200_000, "settings of more than 200,000 bytes")
    statement = open_statement(data, "settings")
    return statement, SETTINGS(decode(statement["body"]))


def settings_order(data):
    """Of two the one for which this is greater counts."""
    return open_settings(data)[0]["version"], H("mailbag/1 stmt", data)


def own_read_key(settings, node, private):
    """What opens the letters of the epoch, for this node with this exchange key; or None."""
    entry = next((entry for entry in settings["readers"] if entry[0] == node), None)
    if entry is None or entry[1] != key_tag(x25519_public(private)):
        return None
    try:
        x = agree(private, b"epoch", entry[2], entry[3], node)
        read = unseal(K(x, "mailbag/1 key"), entry[4], settings["area"] + settings["epoch"].to_bytes(8, "big"))
    except Refused:
        return None
    return read if x25519_public(read) == settings["read"] else None


def read_settings(case):
    data = bytes.fromhex(case["statement"])
    statement, settings = open_settings(data)
    found = {key: settings[key] for key in ("days", "most", "epoch") if key in settings}
    found |= {"issuer": node_text(node_id(statement["issuer"])), "area": area_text(settings["area"])}
    found |= {key: statement[key] for key in ("created", "version")}
    found |= {"read": settings["read"].hex(), "nodes": [node_text(node) for node in settings["nodes"]]}
    found["posts"] = [post.hex() for post in settings["posts"]]
    found["readers"] = [
        {"node": node_text(node), "tag": b32(tag), "share": share.hex(), "commit": commit.hex(), "sealed": box.hex()}
        for node, tag, share, commit, box in settings["readers"]
    ]
    if "opens" in case:
        found["opens"] = []
        for given in case["opens"]:
            read = own_read_key(settings, from_node_text(given["node"]), bytes.fromhex(given["exchange"]))
            found["opens"].append(given | {"read": read and read.hex()})
    if "other" in case:
        found["counts"] = settings_order(data) > settings_order(bytes.fromhex(case["other"]))
    if "seed" in case:  # then the owner can write the same settings again
        owner, salt, read = (bytes.fromhex(case[key]) for key in ("seed", "salt", "read_secret"))
        owner, readers = Secrets(owner), []
        for entry, public in zip(settings["readers"], map(bytes.fromhex, case["exchanges"])):
            s = K(owner.coin_secret, "mailbag/1 coins", lp(b"epoch") + salt + lp(public) + entry[0])
            share = x25519_public(s)
            x = extract(x25519(s, public), b"epoch", share, public, entry[0])
            bound = settings["area"] + settings["epoch"].to_bytes(8, "big")
            box = seal(K(x, "mailbag/1 key"), read, bound)
            readers.append([entry[0], key_tag(public), share, K(x, "mailbag/1 commit"), box])
        body = settings | {"readers": readers, "read": x25519_public(read)}
        again = write_statement(owner, "settings", statement["created"], statement["version"], body)
        found["statement"] = again.hex()
    return found


def read_want(case):
    statement = open_statement(bytes.fromhex(case["statement"]), "want")
    want = WANT(decode(statement["body"]))
    found = {"issuer": node_text(node_id(statement["issuer"])), "time": statement["created"]}
    found |= {"area": area_text(want["area"]), "version": want["version"]}
    found |= {"have": want["have"].hex()} if "have" in want else {}
    if "seed" in case:  # then the node can want the same again
        node, time = Secrets(bytes.fromhex(case["seed"])), statement["created"]
        found["statement"] = write_statement(node, "want", time, max(1, time), want).hex()
    return found


def read_subscribe(case):
    statement = open_statement(bytes.fromhex(case["statement"]), "subscribe")
    subscribe = SUBSCRIBE(decode(statement["body"]))
    found = {"issuer": node_text(node_id(statement["issuer"])), "time": statement["created"]}
    found |= {"version": statement["version"], "area": area_text(subscribe["area"]), "until": subscribe["until"]}
    if "seed" in case:  # then the node can ask for the same again
        node, version = Secrets(bytes.fromhex(case["seed"])), statement["version"]
        found["statement"] = write_statement(node, "subscribe", version // 1000, version, subscribe).hex()
    return found


def summed(message):
    return H("mailbag/1 have", message)[:8]


def dealt(messages, k):
    buckets = [[] for _ in range(1 << k)]
    for message in messages:
        buckets[int.from_bytes(message, "big") >> (256 - k)].append(message)
    return buckets


def all_sums(messages):
    total = bytes(8)
    for message in messages:
        total = xor(total, summed(message))
    return total


def lacking(ours, theirs):
    """What is not in a set of ours that makes up these 8 bytes."""
    if len(ours) > 12:
        return [] if all_sums(ours) == theirs else ours
    sets = {bytes(8): ()}
    for message in ours:
        sets |= {xor(total, summed(message)): chosen + (message,) for total, chosen in sets.items()}
    return [message for message in ours if message not in sets.get(theirs, ())]


def read_summary(case):
    other = summary(bytes.fromhex(case["other"]))
    messages = [from_b32(message, 32) for message in case["messages"]]
    k = next((k for k in range(13) if 1 << k >= len(messages)), 13)
    theirs = [other[at : at + 8] for at in range(0, len(other), 8)]
    buckets = dealt(messages, len(theirs).bit_length() - 1)
    lacks = [message for ours, told in zip(buckets, theirs) for message in lacking(ours, told)]
    found = {"summary": b"".join(map(all_sums, dealt(messages, k))).hex()}
    return found | {"lacks": [b32(message) for message in sorted(lacks)]}


def judge_message(case, head, issuer, card):
    """Whether it may go on, by the card or by the only settings; the key that letters are sealed to."""
    need(("epoch" in head) == (card["mode"] == "moderated"), "settings named where there are none, or not where there are")
    if card["mode"] != "moderated":
        need(head["post"] == card["post"], "another post key than the card's")
        return card["read"]
    statement, settings = open_settings(bytes.fromhex(case["area_settings"]))
    need((statement["issuer"], settings["area"]) == (issuer, card["id"]), "settings of another")
    need(head["version"] <= statement["version"], "under settings that have not come")
    size = sum(size for _, size in head["bodies"])
    need(size <= settings.get("most", size), "larger than a message may be")
    need(head["epoch"] == settings["epoch"] and head["post"] in settings["posts"], "by somebody who may not write")
    return settings["read"]


def msg_hash(head, sealed):
    return H("mailbag/1 msg", lp(head) + sealed)


def read_message(case, prefix, message):
    """What comes of a message for who has the area's card, and the letter for who has the read key too."""
    head_bytes, sealed, signature = message
    length = len(head_bytes) + len(sealed)
    need(len(head_bytes) <= 65_536 and len(sealed) >= 20, "a head too long, or no room for a letter")
    need(length <= 196_608 and size_class(length) == length, "the length is no size class, or too long")
    head = HEAD(decode(head_bytes))
    need(("epoch" in head) == ("version" in head), "an epoch without a version, or the other way round")
    no_root_twice(head["bodies"])
    need(head["bodies"] == prefix["bodies"], "the envelope lists other bodies")
    need(prefix["end"] <= head["end"], "the envelope ends later than the message")
    owner, card = open_area_card(from_bech32m("mbcard", case["area_card"]))
    need(head["area"] == card["id"], "of another area")
    judge_message(case, head, owner["issuer"], card)
    name = msg_hash(head_bytes, sealed)
    verify(head["post"], "mailbag/1 post", name, signature)
    shown = {key: head[key].hex() for key in ("post", "share", "commit")} | {"area": area_text(head["area"])}
    shown |= {key: head[key] for key in ("end", "suite", "epoch", "version") if key in head}
    shown["bodies"] = [{"root": b32(root), "size": size} for root, size in head["bodies"]]
    found = {"area": {"hash": b32(name), "head": shown}}
    if "area_read" not in case:
        return found, None
    x = agree(bytes.fromhex(case["area_read"]), b"area", head["share"], head["commit"], head["area"])
    signed_letter = SIGNED(decode(open_filled(x, head_bytes + sealed, len(head_bytes))))
    frame = head["area"], head["end"], list_hash(head["bodies"]), head_bytes
    signed, letter = open_letter(signed_letter, None, *frame)
    need(card["mode"] != "log" or letter["author"] == node_id(owner["issuer"]), "a log, and not its owner")
    return found | {"letter": {"id": b32(H("mailbag/1 letter", signed))} | show_letter(letter)}, letter


def write_message(case, head_bytes, letter):
    """What its author makes anew, as the rule for coins has it."""
    author = Secrets(bytes.fromhex(case["author_seed"]))
    owner, card = open_area_card(from_bech32m("mbcard", case["area_card"]))
    read = judge_message(case, HEAD(decode(head_bytes)), owner["issuer"], card)
    s = K(author.coin_secret, "mailbag/1 coins", lp(b"area") + bytes.fromhex(case["area_salt"]))
    share = x25519_public(s)
    x = extract(x25519(s, read), b"area", share, read, card["id"])
    signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["area_post"]))
    again = HEAD(decode(head_bytes)) | {"area": card["id"], "post": signer.public_key().public_bytes_raw()}
    head = encode(again | {"share": share, "commit": K(x, "mailbag/1 commit")})
    posted = letter | {"post": letter["post"] | {"head": H("mailbag/1 head", head)}}
    content = filled(head, encode(sign_letter(case["author_seed"], posted)))
    sealed = seal(K(x, "mailbag/1 key"), content, head)
    return [head, sealed, signer.sign(D16("mailbag/1 post") + msg_hash(head, sealed))]


# ---- The cases -------------------------------------------------------------------------------------------------------

# How each kind is read, and its fields that are input: all others are values that have to come out. A reader may return
# an input as well, when it could be made anew; it must then be the same.
KINDS = {
    "hash": (read_hashes, ()),
    "size": (read_sizes, ()),
    "tree": (read_trees, ()),
    "id": (read_id, ("type", "text")),
    "card": (read_card, ("text", "seed")),
    "statement": (read_statement, ("statement",)),
    "receipt": (read_receipt, ("statement", "seed")),
    "complaint": (read_complaint, ("statement", "seed")),
    "trace": (read_trace, ("trace", "seeds")),
    "prefix": (read_prefix, ("file",)),
    "envelope": (
        read_envelope,
        ("file", "to", "exchange", "sender", "author", "sender_seed", "author_seed")
        + ("area_card", "area_settings", "area_read", "area_post", "area_salt"),
    ),
    "route": (read_route, ("author", "author_seed", "salt")),
    "reply": (read_reply, ("author_seed", "salt")),
    "body": (read_body, ("root", "size", "key", "body", "chunks", "cut")),
    "folder": (read_folder, ("payload",)),
    "nodekey": (read_nodekey, ("secret", "sealed", "passphrase")),
    "exchangekey": (read_exchangekey, ("file", "seed")),
    "areacard": (read_areacard, ("text", "seed")),
    "areasecret": (read_areasecret, ("secret",)),
    "settings": (read_settings, ("statement", "other", "seed", "salt", "read_secret", "exchanges")),
    "want": (read_want, ("statement", "seed")),
    "subscribe": (read_subscribe, ("statement", "seed")),
    "summary": (read_summary, ("messages", "other")),
}


def difference(found, wanted, where=""):
    """The first place where two values differ, or None."""
    if type(found) is dict and type(wanted) is dict:
        if found.keys() != wanted.keys():
            return f"{where or '.'}: fields {sorted(found.keys() ^ wanted.keys())} on one side only"
        parts = ((f"{where}.{key}", found[key], wanted[key]) for key in wanted)
    elif type(found) is list and type(wanted) is list and len(found) == len(wanted):
        parts = ((f"{where}[{i}]", *pair) for i, pair in enumerate(zip(found, wanted)))
    else:
        return None if found == wanted else f"{where}: {found!r:.160} came out instead of {wanted!r:.160}"
    return next(filter(None, (difference(one, other, place) for place, one, other in parts)), None)


def judge(case, folder, verbose):
    """What is wrong with the outcome of a case, or None."""
    if case["verdict"] != folder or case["kind"] not in KINDS:
        return "its verdict is not its folder's, or its kind is unknown"
    reader, inputs = KINDS[case["kind"]]
    try:
        found = reader(case)
    except Refused as refusal:
        if verbose and folder == "bad":
            print(f"{case['what']}\n    here: {refusal}\n    library: {case['reason']}")
        return f"refused: {refusal}" if folder == "good" else None
    except Exception as mistake:
        return f"neither accepted nor refused: {mistake!r}"
    if folder == "bad":
        return f"accepted, though: {case['what']}"
    given = {"what", "kind", "verdict"} | set(inputs) - found.keys()
    return difference(found, {key: case[key] for key in case if key not in given})


def main():
    passed = failed = 0
    for folder in ("good", "bad"):
        files = sorted((Path(__file__).parent / folder).glob("*.json"))
        kinds = set()
        for file in files:
            case = json.loads(file.read_text(encoding="utf-8"))
            kinds.add(case["kind"])
            wrong = judge(case, folder, "-v" in sys.argv[1:])
            if wrong:
                print(f"{folder}/{file.name}: {wrong}")
                failed += 1
            else:
                passed += 1
        # A folder that was emptied or moved must not look like agreement.
        for kind in KINDS if folder == "good" else KINDS.keys() - {"hash", "size", "tree"}:
            if kind not in kinds:
                print(f"{folder}: no case of kind {kind}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
