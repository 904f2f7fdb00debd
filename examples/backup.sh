#!/bin/sh
# A backup of folders at another node: each time a tar archive of its own.
#
#     backup.sh send NODE HANDLE DIR...       at the one node, from cron
#     backup.sh receive TARGET                at the other, run by mb-toss
#
# Install:  install -m 755 backup.sh /usr/local/bin/, at both; at the receiving one, in the file of the other:
#
#     [exec.backup]
#     command = ["/usr/local/bin/backup.sh", "receive", "/srv/backup"]
#     arguments = true        # the date
#
# What comes is /srv/backup/SENDER/DATE-LETTER.tar, readable by its owner alone. DATE is when it was made, LETTER its
# letter's id, so that a second run finds it there. Names in it begin at the root: to get something back,
# tar -xpf FILE -C /somewhere. Nothing is removed; keep an eye on the room, or add a line of find to cron. mb-send
# compresses what travels.
set -eu
umask 077

fail() { # CODE, LINE
    printf 'backup: %s\n' "$2" >&2
    exit "$1"
}

send() { # NODE, HANDLE, DIR...
    node=$1 handle=$2
    shift 2
    # Each DIR becomes: -C / ./its/path/from/there
    count=$#
    while [ "$count" -gt 0 ]; do
        [ -d "$1" ] || fail 66 "$1: no folder"
        path=$(cd -- "$1" && pwd && echo .)
        path=${path%??}
        set -- "$@" "./${path#/}"
        shift
        count=$((count - 1))
    done
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/backup.XXXXXX") || fail 75 'no room'
    trap 'rm -rf "$tmp"' EXIT
    mkfifo "$tmp/pipe"
    mb-send -t "$node" -x "$handle" -- "$(date -u +%Y%m%dT%H%M%SZ)" <"$tmp/pipe" &
    sender=$!
    # Held open by this shell, the pipe does not end with tar: if that fails, mb-send is killed before it sees an end,
    # and has sent nothing.
    trap 'kill -KILL "$sender" 2>/dev/null; wait "$sender"; exit 75' HUP INT TERM
    exec 3>"$tmp/pipe"
    code=0
    tar -cf - -C / -- "$@" >&3 || code=$?
    # GNU tar: something changed while it was read; it has said what.
    if [ "$code" = 1 ] && tar --version 2>/dev/null | grep -q GNU; then code=0; fi
    sent=0
    case $code in
    # Nobody reads any more: mb-send has said why.
    0 | 141) exec 3>&- ;;
    *) kill -KILL "$sender" 2>/dev/null || : ;;
    esac
    wait "$sender" || sent=$?
    case $code in
    0 | 141) exit "$sent" ;;
    *) fail 74 'tar failed: nothing was sent' ;;
    esac
}

receive() { # TARGET, DATE
    target=$1 date=$2 from=${MB_SENDER_NAME:?} letter=${MB_LETTER:?}
    case $from in .* | */*) fail 78 "$from: no name for a folder" ;; esac
    case $date in *[!0-9TZ]* | '' | ?????????????????*) fail 65 'its argument is no date' ;; esac
    [ -d "$target" ] || fail 75 "$target: not here"
    mkdir -p -- "$target/$from" || exit 75
    file=$target/$from/$date-$letter.tar
    [ ! -e "$file" ] || exit 0
    part=$target/$from/.part-$letter
    trap 'rm -f -- "$part"' EXIT
    trap 'exit 75' HUP INT TERM
    cat >"$part" || fail 75 'no room'
    # An archive that is cut lacks the zeros of its end, or a part of its last file.
    rest=$(tail -c 1024 -- "$part" | tr -d '\000' | wc -c)
    if [ "$rest" -ne 0 ] || ! tar -tf "$part" >/dev/null; then fail 65 'what came is no whole archive'; fi
    sync -- "$part" 2>/dev/null || sync
    mv -- "$part" "$file" || exit 75
    sync -- "$target/$from" 2>/dev/null || sync
}

case ${1-} in
send) [ $# -ge 4 ] || fail 64 'backup.sh send NODE HANDLE DIR...' ;;
receive) [ $# = 3 ] || fail 64 'backup.sh receive TARGET, and the letter adds the date' ;;
*) fail 64 'backup.sh send NODE HANDLE DIR... | receive TARGET' ;;
esac
"$@"
