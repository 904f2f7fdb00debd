#!/usr/bin/env bash
# An area with a circle in it, and a relay that cannot read it: the graph of NNCP's manual. Each of a, b, c and d names the
# neighbours that get the area's messages from it: a: b, d; b: c, d, a; c: b; d: a, b. Of these b has no keys. a writes, and
# c and d have it once, whichever way it comes; c answers, and a has the answer once. Every byte is compared, and whatever is
# not as it is told here ends this with an error. Make it with `make area-demo`, or:
#
#     examples/area.sh [FOLDER-OF-THE-PROGRAMS [MIB]]
#
# MIB is the size of the largest file that is sent, 1 to 1024; 32 if it is not given. It works in a temporary folder (TMPDIR),
# needs about ten times that size there, and removes it at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=$(cd "${1:-$here/target/release}" && pwd)
mib=${2:-32}
work=$(mktemp -d "${TMPDIR:-/tmp}/mailbag-area.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'echo "area: line $LINENO: $BASH_COMMAND: exit $?" >&2' ERR
trap 'exit 130' INT TERM

fail() { echo "area: $*" >&2; exit 1; }
# Runs a command at a host: a home of its own, and nothing else of this environment.
at() { (cd "$work/$1" && exec env -i HOME="$work/$1" PATH="$programs:$PATH" "${@:2}"); }
spool() { echo "$work/$1/.local/state/mailbag"; }
# Bytes of the bodies in a folder, each once.
bodies() {
    { [ ! -d "$1" ] || find "$1" -type f -printf '%i %s\n'; } | sort -u |
        awk '{ bytes += $2 } END { printf "%.1f MiB", bytes / 1048576 }'
}
# How many packets wait at $1 for $2.
waiting() { at "$1" mb-stat --packets "$2" 2>/dev/null | awk '$2 == "tx"' | wc -l; }

# A stick goes from $1 to $2, which tosses; then it is empty. What was delivered there is in `delivered`.
carry() {
    stick=$work/stick-$1-$2
    mkdir -p "$stick"
    at "$1" mb-xfer --out --node "$2" "$stick"
    carried=$(bodies "$stick/mailbag/body")
    at "$2" mb-xfer --in --toss "$stick" >"$work/delivered"
    left=$(find "$stick/mailbag" -type f ! -name README.txt | wc -l)
    [ "$left" = 0 ] || fail "$left files are left on the stick from $1 to $2"
}
# $1 has delivered $2 files now.
delivered() { [ "$(wc -l <"$work/delivered")" = "$2" ] || fail "$1 delivered something else than $2 files: $(cat "$work/delivered")"; }
# The packets that wait at $1 for $2 are $3.
waits() { [ "$(waiting "$1" "$2")" = "$3" ] || fail "$(waiting "$1" "$2") packets wait at $1 for $2, not $3"; }
# The name of the message at $1 that is called $2.
message() { at "$1" mb-area read news | awk -F '\t' -v name="$2" '{ sub(/^ */, "", $5) } $5 == name { print $1 }'; }
# What the message called $2 brings at $1 is the file $3.
same() { at "$1" mb-area read news "$(message "$1" "$2")" | cmp - "$3"; }

mkdir "$work"/{a,b,c,d,input}
mkdir "$work/d/news"
head -c "${mib}M" /dev/urandom >"$work/input/random.bin"
: >"$work/input/empty"
echo 'Grüße an alle' >"$work/input/ein Gruß – 日本語.txt"
names=(random.bin empty 'ein Gruß – 日本語.txt')
echo 'from c' >"$work/input/answer"
for host in a b c d; do at $host mb-init --name $host >>"$work/cards"; done
for host in a b c d; do at $host mb-node add <"$work/cards" >/dev/null; done

at a mb-area new news >/dev/null
at a mb-area card news >"$work/relay.card"
(umask 077 && at a mb-area card news --reader >"$work/reader.card")
at b mb-area join news <"$work/relay.card" >/dev/null
for host in c d; do at $host mb-area join news <"$work/reader.card" >/dev/null; done
at a mb-area subscribe news b d
at b mb-area subscribe news c d a
at c mb-area subscribe news b
at d mb-area subscribe news a b
at d mb-area set news folder="$work/d/news"
echo "Four nodes and the area news of a. a hands it on to b and d; b, which has the relay card only, to c, d and a; c to b; d to a" \
    "and b. At d files go to a folder, at a and c messages are kept to be read."

echo "a writes:"
at a mb-send -a news: "${names[@]/#/$work/input/}" >"$work/packets"
for to in b d; do waits a $to 3; done
echo "  a: mb-send -a made $(wc -l <"$work/packets") messages, with three packets each for b and d, and" \
    "$(bodies "$(spool a)/body") of bodies in the spool."
carry a b
delivered b 0
for to in c d; do waits b $to 3; done
waits b a 0
if at b mb-area read news >/dev/null 2>&1; then fail "b can read"; fi
echo "  b: took $carried of bodies from the stick, cannot read them, and has three packets for c, three for d, none for a."
carry b c
delivered c 0
waits c b 0
for name in "${names[@]}"; do same c "$name" "$work/input/$name"; done
echo "  c: reads all three, every byte is what a wrote; hands nothing on, since b has them."
carry b d
delivered d 3
waits d a 0
for name in "${names[@]}"; do cmp "$work/input/$name" "$work/d/news/$name"; done
echo "  d: three files in its folder, every byte is what a wrote; nothing for a, who wrote them."
carry a d
delivered d 0
echo "  d: the same three by the stick from a: dropped, delivered once."

echo "c answers:"
at c mb-send -a news:answer --re "$(message c random.bin)" "$work/input/answer" >/dev/null
carry c b
delivered b 0
carry b a
same a answer "$work/input/answer"
waits a d 1
carry b d
delivered d 1
cmp "$work/input/answer" "$work/d/news/answer"
waits d a 1
carry d a
carry a d
delivered d 0
at a mb-area read news | awk -F '\t' '{ print "    " $3 "\t" $4 "\t" $5 }' >"$work/threads"
[ "$(grep -c answer "$work/threads")" = 1 ] || fail "a has not one answer: $(cat "$work/threads")"
grep -A 1 random.bin "$work/threads" | grep -q '	  answer$' || fail "not behind what it answers: $(cat "$work/threads")"
echo "  a: had it from b, and once more from d, which could not know: dropped; so did d from a. What mb-area read lists at a:"
cat "$work/threads"

for host in a b c d; do
    for to in a b c d; do [ $host = $to ] || waits $host $to 0; done
    at $host mb-check
    [ ! -e "$(spool $host)/bad" ] || fail "something went bad at $host"
done
[ "$(find "$work/d/news" -type f | wc -l)" = 4 ] || fail "not four files at d"
left=$(find "$(spool b)" -type f -size +0 -path '*body*' | wc -l)
[ "$left" = 0 ] || fail "$left bodies are left at b"
echo "Every byte is what was written, each message came once, nothing waits anywhere, and all four spools are sound."
