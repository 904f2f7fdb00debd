#!/usr/bin/env bash
# Relays and onions: north sends to far, whom it never meets, and b, c and d pass on what they cannot read; [relay] in their
# nodes' files could forbid it. First by one hub; then to three nodes behind that hub, each body once; then as an onion, of
# which everything changes at each relay but the length. Every byte is compared, and whatever is not as it is told here ends
# this with an error. Make it with `make onion-demo`, or:
#
#     examples/onion.sh [FOLDER-OF-THE-PROGRAMS [MIB]]
#
# MIB is the size of each file that is sent, 1 to 1024; 32 if it is not given. It works in a temporary folder (TMPDIR), needs
# about twelve times that size there, and removes it at the end.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=$(cd "${1:-$here/target/release}" && pwd)
mib=${2:-32}
work=$(mktemp -d "${TMPDIR:-/tmp}/mailbag-onion.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'echo "onion: line $LINENO: $BASH_COMMAND: exit $?" >&2' ERR
trap 'exit 130' INT TERM

fail() { echo "onion: $*" >&2; exit 1; }
# Runs a command at a host: a home of its own, and nothing else of this environment.
at() { (cd "$work/$1" && exec env -i HOME="$work/$1" PATH="$programs:$PATH" "${@:2}"); }
seconds() { awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.3f s", to - from }'; }
# The sizes in lines `NAME SIZE`, added up.
size() { awk '{ bytes += $2 } END { printf "%.1f MiB", bytes / 1048576 }' "$@"; }
count() { wc -l <"$1"; }

# The bodies of packets at a node, those that came by stick, and those that wait to leave: `INODE LINKS`, each once.
came() { find "$work/$1/.local/state/mailbag/self/rx" -name '*.*' -printf '%i %n\n' | sort -u; }
waiting() { find "$work/$1"/.local/state/mailbag/mbn1*/tx -name '*.*' -printf '%i %n\n' | sort -u; }

# Each stick is a folder, and makes one way: node $2 puts on stick $1 what waits for the nodes that follow. What lies on it
# then is kept as `NAME SIZE` of each file.
put() {
    local stick=$work/stick-$1 node nodes=()
    for node in "${@:3}"; do nodes+=(--node "$node"); done
    mkdir "$stick"
    at "$2" mb-xfer --out "${nodes[@]}" "$stick"
    find "$stick/mailbag/body" -type f -printf '%f %s\n' | sort >"$work/$1.bodies"
    find "$stick"/mailbag/mbn1* -type f -printf '%f %s\n' | sort >"$work/$1.envelopes"
}
# Node $2 takes from stick $1 what is for it.
take() { at "$2" mb-xfer --in "$work/stick-$1"; }
# A relay tosses: nothing is for itself.
pass() {
    start=$EPOCHREALTIME
    at "$1" mb-toss >"$work/delivered"
    took=$(seconds)
    [ ! -s "$work/delivered" ] || fail "$1 delivered something: $(cat "$work/delivered")"
}
# A node delivers one file from north, which is what was sent.
deliver() {
    at "$1" mb-toss >"$work/delivered"
    [ "$(count "$work/delivered")" = 1 ] || fail "$1 delivered something else: $(cat "$work/delivered")"
    cmp "$work/input/$2" "$work/$1/.local/state/mailbag/incoming/north/$2"
}

mkdir "$work"/{north,b,c,d,far,input}
for name in hub many onion; do head -c "${mib}M" /dev/urandom >"$work/input/$name.bin"; done
for host in north b c d far; do at $host mb-init --name $host >>"$work/cards"; done
for host in north b c d far; do at $host mb-node add <"$work/cards" >/dev/null; done
echo "Five nodes: north, b, c, d and far. No stick goes from north to far. Each file that is sent has $mib MiB."

echo "By a hub:"
start=$EPOCHREALTIME
at north mb-send --via b -t far "$work/input/hub.bin" >/dev/null
echo "  north: mb-send --via b -t far took $(seconds)."
put 1 north b
take 1 b
before=$(came b)
pass b
after=$(waiting b)
put 2 b far
[ "$before" = "$after" ] || fail "bodies at the hub, inode and links: $before, and later $after"
[[ $after =~ ^[0-9]+\ 2$ ]] || fail "not one body with two names at the hub: $after"
cmp "$work/1.bodies" "$work/2.bodies"
echo "  b: mb-toss passed it on in $took. Its body came as inode ${before% *} and waits for far as inode ${after% *}: one" \
    "file with ${after#* } names, of the queue and of the index; nothing was copied."
take 2 far
deliver far hub.bin
echo "  far: every byte is what north sent. The body had one name on both sticks, by which who sees them knows it again."

echo "To three nodes behind the hub:"
start=$EPOCHREALTIME
at north mb-send --via b -t c -t d -t far "$work/input/many.bin" >"$work/packets"
took=$(seconds)
put 3 north b
if [ "$(count "$work/packets")" != 3 ] || [ "$(count "$work/3.envelopes")" != 3 ]; then
    fail "$(count "$work/packets") packets and $(count "$work/3.envelopes") envelopes for three nodes"
fi
[ "$(size "$work/3.bodies")" = "$(size "$work/1.bodies")" ] || fail "$(size "$work/3.bodies") of bodies for three nodes"
echo "  north: one mb-send took $took. On the stick to b are $(count "$work/3.envelopes") envelopes, and the body once:" \
    "$(size "$work/3.bodies" "$work/3.envelopes"), not $((3 * mib)) MiB."
take 3 b
pass b
after=$(waiting b)
[[ $after =~ ^[0-9]+\ 4$ ]] || fail "not one body with four names at the hub: $after"
put 4 b c d far
cmp "$work/3.bodies" "$work/4.bodies"
echo "  b: mb-toss passed them on in $took: inode ${after% *} has ${after#* } names now, in three queues and the index." \
    "On the next stick it lies once again."
for host in c d far; do
    take 4 $host
    deliver $host many.bin
done
echo "  c, d, far: every byte is what north sent."

echo "As an onion:"
start=$EPOCHREALTIME
at north mb-send --onion --via b,c,d -t far "$work/input/onion.bin" >"$work/packets"
echo "  north: mb-send --onion --via b,c,d -t far took $(seconds)."
stick=5 from=north
for host in b c d far; do
    put $stick $from $host
    take $stick $host
    if [ $host = c ]; then
        # It came from b, goes on to d, and that is all.
        read -r packet _ <"$work/$stick.envelopes"
        at c mb-cat "$packet" >"$work/cat"
        echo "  c: mb-cat opens its own slot, and nothing below:"
        awk '$1 ~ /^(to|from|next|onion|stops)$/ && $2 != "nice" { print "    " substr($0, 1, 60) }' "$work/cat"
        for line in 'from  *b ' 'next  *d ' 'stops  *the rest is for other nodes$'; do
            grep -q "^$line" "$work/cat" || fail "mb-cat at c says nothing like '$line': $(cat "$work/cat")"
        done
        for other in north far; do
            known=$(at c mb-node show $other | awk '$1 == "id" { print $2 }')
            if grep -qwe $other -e "$known" "$work/cat"; then fail "mb-cat at c names $other: $(cat "$work/cat")"; fi
        done
        if grep -qE '^(letter|author|path)' "$work/cat"; then fail "mb-cat at c shows a letter: $(cat "$work/cat")"; fi
    fi
    if [ $host != far ]; then
        pass $host
        echo "  $host: mb-toss made another packet of the same length of it in $took."
    fi
    from=$host stick=$((stick + 1))
done
deliver far onion.bin
echo "  far: every byte is what north sent."

# What was on the four links: as many files of the same sizes, and no name twice.
for stick in 5 6 7 8; do
    sort "$work/$stick.bodies" "$work/$stick.envelopes" | tee -a "$work/all" | cut -d ' ' -f 2 | sort -n >"$work/$stick.sizes"
    cmp "$work/5.sizes" "$work/$stick.sizes"
done
twice=$(cut -d ' ' -f 1 "$work/all" | sort | uniq -d)
[ -z "$twice" ] || fail "on two links: $twice"
echo "  On each of the four links were $(count "$work/5.bodies") bodies and an envelope," \
    "$(size "$work/5.bodies" "$work/5.envelopes"), of the same lengths; none of their $(count "$work/all") names was on two."

for host in north b c d far; do
    at $host mb-check
    left=$(find "$work/$host/.local/state/mailbag/body" -type f | wc -l)
    [ "$left" = 0 ] || fail "$left bodies are left at $host"
done
left=$(find "$work"/stick-*/mailbag -type f ! -name README.txt | wc -l)
[ "$left" = 0 ] || fail "$left files are left on the sticks"
echo "Every byte is what was sent, the sticks are empty, and all five spools are sound."
