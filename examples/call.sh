#!/usr/bin/env bash
# Two nodes on one host that share nothing but a link: south listens, north calls. Over tcp, over a pipe, and over ssh with
# a forced command, by an sshd of our own. Files go both ways in each call, and every byte is compared. Make it with
# `make call-demo`, or:
#
#     examples/call.sh [FOLDER-OF-THE-PROGRAMS]
#
# Without a folder: target/release, if it is there, else the programs on the PATH. It needs neither root nor a network,
# works in a temporary folder (TMPDIR), needs about 200 MiB there, and removes it at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# = 0 ] && [ ! -x "$here/target/release/mb-call" ] && command -v mb-call >/dev/null; then
    programs=$(dirname "$(command -v mb-call)")
else
    programs=$(cd "${1:-$here/target/release}" && pwd)
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/mailbag-call.XXXXXX")
started=()
clean() {
    for process in "${started[@]}"; do
        if kill "$process" 2>/dev/null; then wait "$process" 2>/dev/null || true; fi
    done
    [ -z "${made_run:-}" ] || rmdir /run/sshd
    rm -rf "$work"
}
trap clean EXIT
trap 'echo "call: line $LINENO: $BASH_COMMAND: exit $?" >&2; cat "$work"/*.err "$work"/again "$work"/sshd/log 2>/dev/null >&2' ERR
trap 'exit 130' INT TERM

# Runs a command at a host: a home of its own, and nothing else of this environment.
at() { (cd "$work/$1" && exec env -i HOME="$work/$1" PATH="$programs:$PATH" "${@:2}"); }
# The same, and goes on meanwhile; $! is the program.
begin_at() { (cd "$work/$1" && exec env -i HOME="$work/$1" PATH="$programs:$PATH" "${@:2}") & }
# What somebody else has to run there: ssh's forced command, a pipe.
there() { printf 'env -i HOME=%q PATH=%q' "$work/$1" "$programs:/usr/bin:/bin"; printf ' %q' "${@:2}"; }
seconds() { awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.2f s", to - from }'; }
# Waits until a command succeeds, ten seconds at the most.
until_done() { for _ in {1..200}; do "$@" && return; sleep 0.05; done; echo "call: in vain: $*" >&2; exit 1; }

# Sends files both ways, makes the call that the arguments are, compares what was delivered.
exchange() {
    local way=$1
    mkdir "$work/$way"
    head -c 24M /dev/urandom >"$work/$way/$way-up.bin"
    head -c 8M /dev/urandom >"$work/$way/$way-down.bin"
    echo "over $way" >"$work/$way/$way.txt"
    at north mb-send -t south "$work/$way/$way-up.bin" "$work/$way/$way.txt" >/dev/null
    at south mb-send -t north "$work/$way/$way-down.bin" >/dev/null
    start=$EPOCHREALTIME
    at north mb-call --toss "${@:2}" >"$work/$way/delivered"
    echo "$way: one call of $(seconds): 24 MiB and a small file to south, 8 MiB to north at the same time."
    same south north "$way-up.bin" "$way.txt"
    same north south "$way-down.bin"
}
# What was delivered at $1 from $2 is what was sent. South may still be at it when the call is over.
same() {
    local name incoming=$work/$1/.local/state/mailbag/incoming/$2
    for name in "${@:3}"; do
        until_done test -e "$incoming/$name"
        cmp "$work/$way/$name" "$incoming/$name"
    done
}

mkdir "$work"/{north,south}
for host in north south; do at $host mb-init --name $host >"$work/$host.card"; done
at north mb-node add <"$work/south.card" | sed 's/^/north knows /'
at south mb-node add <"$work/north.card" | sed 's/^/south knows /'

# Over tcp. South takes a free port, and says which one.
begin_at south mb-listen --bind 127.0.0.1:0 --toss >"$work/listen.out" 2>"$work/listen.err"
started+=($!)
until_done grep -q 'listening on' "$work/listen.err"
address=$(sed -n 's/.*listening on //p' "$work/listen.err")
echo "addresses = [\"tcp://$address\"]" >>"$work/north/.config/mailbag/nodes/south.toml"
echo "South listens on $address; north's file about south has this as its address."
exchange tcp south

# A call that is cut in the middle, and what the next one costs.
head -c 24M /dev/urandom >"$work/cut.bin"
at north mb-send -t south "$work/cut.bin" >/dev/null
begin_at north mb-call -q --rate 8M south
caller=$!
sleep 1.5
kill -KILL $caller
wait $caller 2>/dev/null || true
# South tells that it was cut; what it had in hand is on disk then.
until_done grep -q 'north: the call was cut' "$work/listen.err"
at north mb-call -v south 2>"$work/again"
echo "tcp: a call was killed after 1.5 s at 8 MiB/s; the next one sent" \
    "$(sed -n 's/.* packets out (\([0-9]*\) bytes.*/\1/p' "$work/again") of 25165824 bytes."
until_done test -e "$work/south/.local/state/mailbag/incoming/north/cut.bin"
cmp "$work/cut.bin" "$work/south/.local/state/mailbag/incoming/north/cut.bin"

kill "${started[0]}"
wait "${started[0]}" || true
started=()

# Over a pipe: the command's standard input and output are the link. Here it is south's own mb-listen.
exchange pipe south --stdio -- sh -c "$(there south mb-listen --stdio --toss)"

# Over ssh: a server of our own, which lets one key do one thing.
over_ssh() {
    local sshd ssh=$work/sshd port
    sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) || { echo "ssh: no sshd is here: left out." && return; }
    command -v ssh >/dev/null || { echo "ssh: no ssh is here: left out." && return; }
    mkdir -m 700 "$ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/mailbag"
    echo "command=\"$(there south mb-listen --stdio --toss)\",restrict $(cat "$ssh/mailbag.pub")" >"$ssh/authorized_keys"
    # As root it wants a folder, which its service makes elsewhere.
    [ "$(id -u)" != 0 ] || [ -d /run/sshd ] || { mkdir -m 755 /run/sshd && made_run=1; }
    for _ in {1..20}; do
        port=$((20000 + RANDOM % 20000))
        "$sshd" -D -e -f /dev/null -p $port -h "$ssh/host" -o ListenAddress=127.0.0.1 -o PidFile=none \
            -o AuthorizedKeysFile="$ssh/authorized_keys" -o StrictModes=no -o UsePAM=no -o PasswordAuthentication=no \
            2>"$ssh/log" &
        started=($!)
        until_done grep -qE 'Server listening|Cannot bind' "$ssh/log"
        ! grep -q 'Cannot bind' "$ssh/log" && break
    done
    echo "[127.0.0.1]:$port $(cut -d' ' -f 1,2 "$ssh/host.pub")" >"$ssh/known_hosts"
    local options=(-F none -i "$ssh/mailbag" -p "$port" -o UserKnownHostsFile="$ssh/known_hosts" -o BatchMode=yes -T)
    local user
    user=$(id -un)
    # shellcheck disable=SC2029  # the host is this one
    if ! ssh "${options[@]}" "$user@127.0.0.1" </dev/null >/dev/null 2>"$ssh/try"; then
        # Our mb-listen answers that nobody called; anything else is that this user may not come in.
        grep -q '^mb-listen:' "$ssh/try" || { echo "ssh: $user may not log in here: left out: $(tail -n 1 "$ssh/try")" && return; }
    fi
    echo "North has a key for ssh that can do one thing at south: mb-listen --stdio --toss."
    # Whatever north asked for, that would run: it asks for nothing.
    exchange ssh south --stdio -- ssh "${options[@]}" "$user@127.0.0.1"
}
over_ssh

at north mb-check
at south mb-check
echo "Every byte is what was sent, and both spools are sound."
