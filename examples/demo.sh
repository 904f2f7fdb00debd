#!/usr/bin/env bash
# Three nodes that share nothing but a folder that somebody carries: north sends this source tree, 200 MiB of random
# bytes, an empty file and a file with a difficult name to south and to east, in one command. Everything that arrives
# is compared with what was sent: every byte, mode and time. Make it with `make demo`, or:
#
#     examples/demo.sh [FOLDER-OF-THE-PROGRAMS]
#
# It works in a temporary folder (TMPDIR), needs about 1.5 GiB there, and removes it at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=$(cd "${1:-$here/target/release}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mailbag-demo.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Runs a command at a host: a home of its own, and nothing else of this environment.
at() { (cd "$work/$1" && env -i HOME="$work/$1" PATH="$programs:$PATH" "${@:2}"); }
size() { du -sh --apparent-size "$@" | tail -n 1 | cut -f 1; }
seconds() { awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.2f s", to - from }'; }
# Names, kinds, modes, times, sizes, and where links lead.
listing() { (cd "$1" && find "$2" -printf '%P %y %m %T@ %l %s\n' | sed -E 's/( d .*) [0-9]+$/\1/' | LC_ALL=C sort); }

free=$(df -Pk "$work" | awk 'NR == 2 { print int($4 / 1024) }')
if [ "$free" -lt 1600 ]; then
    echo "demo: $work has $free MiB free, and 1,600 are needed; set TMPDIR to another place" >&2
    exit 75
fi

echo "Three hosts, and a folder that plays the stick."
mkdir "$work"/{north,south,east,stick,input}
stick=$work/stick input=$work/input

# What is sent: the files of this project as they are here, with what git ignores left out.
mkdir "$input/source"
if git -C "$here" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$here" ls-files -z --cached --others --exclude-standard
else
    cd "$here" && find . -path ./target -prune -o \( -type f -o -type l \) -print0
fi | (cd "$here" && while IFS= read -rd '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done) |
    tar -C "$here" --null -T - -c | tar -C "$input/source" -xp
head -c 200M /dev/urandom >"$input/random.bin"
: >"$input/empty"
echo 'Grüße aus dem Norden' >"$input/ein Gruß – 日本語.txt"
chmod 640 "$input/random.bin"
touch -d '2001-02-03 04:05:06.789' "$input/empty"
names=(source random.bin empty 'ein Gruß – 日本語.txt')
echo "To send: $(find "$input/source" -type f | wc -l) files of source in a folder, 200 MiB of random bytes," \
    "an empty file, a difficult name: $(size "$input")."

echo "The cards go first: south and east put theirs on the stick, north takes them and adds its own."
for host in south east; do
    at $host mb-init --name $host >"$work/$host/card"
    cat "$work/$host/card" >>"$stick/cards"
done
at north mb-init --name north >/dev/null
at north mb-node add <"$stick/cards" | sed 's/^/  north knows /'
at north mb-node card >>"$stick/cards"

start=$EPOCHREALTIME
at north mb-send -t south -t east "${names[@]/#/$input/}" >"$work/packets"
echo "north: mb-send made $(wc -l <"$work/packets") packets for two nodes in $(seconds)," \
    "$(size "$work/north/.local/state/mailbag") in the spool: each body once."

start=$EPOCHREALTIME
at north mb-xfer --out --node south --node east "$stick"
echo "north: mb-xfer put them on the stick in $(seconds); it holds $(size "$stick")."

# Taken in, tossed, and compared.
for host in south east; do
    at $host mb-node add <"$stick/cards" >/dev/null
    start=$EPOCHREALTIME
    at $host mb-xfer --in --toss "$stick" >"$work/$host/delivered"
    echo "$host: mb-xfer --toss took in and delivered $(wc -l <"$work/$host/delivered") in $(seconds)."
    incoming=$work/$host/.local/state/mailbag/incoming/north
    for name in "${names[@]}"; do
        diff -r --no-dereference "$input/$name" "$incoming/$name"
        diff <(listing "$input" "$name") <(listing "$incoming" "$name")
    done
    [ "$(find "$incoming" -mindepth 1 -maxdepth 1 | wc -l)" = "${#names[@]}" ]
    at $host mb-check
done

left=$(find "$stick/mailbag" -type f ! -name README.txt | wc -l)
if [ "$left" != 0 ]; then
    echo "demo: $left files are left on the stick" >&2
    exit 1
fi
at north mb-check
echo "Every byte, mode and time is what was sent; the stick is empty, and all three spools are sound."
