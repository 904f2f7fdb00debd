#!/bin/sh
# What is new in a git repository, from one node to another: commits and tags as git bundles.
#
#     git-bundle.sh send NODE HANDLE REPO     at the one node, from cron or a hook; says nothing if nothing is new
#     git-bundle.sh receive REPO              at the other, run by mb-toss; REPO is bare: git init --bare REPO
#
# Install:  install -m 755 git-bundle.sh /usr/local/bin/, at both; at the receiving one, in the file of the other:
#
#     [exec.git]
#     command = ["/usr/local/bin/git-bundle.sh", "receive", "/srv/git/project.git"]
#
# The sender remembers what it has sent under refs/mailbag/NODE; to send everything anew, delete these. A bundle says
# what it builds upon. If that has not come yet, it exits 75, and mb-toss tries it again after what came in between.
# Bundles may come in any order and more than once: a branch only ever goes forward, a tag never moves. One that was
# rewritten goes to bad/ (exit 77), for a person to look at. A new name for an old commit alone is not sent, and no
# deletion.
set -eu

fail() { # CODE, LINE
    printf 'git-bundle: %s\n' "$2" >&2
    exit "$1"
}

send() { # NODE, HANDLE, REPO
    node=$1 handle=$2 repo=$3
    git check-ref-format "refs/mailbag/$node/x" || fail 64 "$node: no name of a node"
    git -C "$repo" rev-parse --git-dir >/dev/null || fail 66 "$repo: no repository"
    new=$(git -C "$repo" rev-list --objects --branches --tags --not --glob="refs/mailbag/$node/*" | head -n 1)
    [ -n "$new" ] || return 0
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/git-bundle.XXXXXX") || fail 75 'no room'
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 75' HUP INT TERM
    git -C "$repo" bundle create -q - --branches --tags --not --glob="refs/mailbag/$node/*" >"$tmp/bundle"
    mb-send -t "$node" -x "$handle" <"$tmp/bundle"
    # What is remembered is what the bundle has: a branch may have moved on meanwhile. Who is killed before this sends
    # the same again, which does no harm.
    git bundle list-heads "$tmp/bundle" | while read -r id ref; do
        git -C "$repo" update-ref "refs/mailbag/$node/${ref#refs/}" "$id"
    done
}

# Moves one ref, if that is forward.
take() { # REF, NEW
    ref=$1 new=$2
    old=$(git rev-parse -q --verify "$ref") || old=''
    if [ "$old" = "$new" ]; then return; fi
    if [ -n "$old" ]; then
        case $ref in refs/tags/*) refused="$refused $ref" && return ;; esac
        if git merge-base --is-ancestor "$new" "$old"; then return; fi
        git merge-base --is-ancestor "$old" "$new" || { refused="$refused $ref" && return; }
    fi
    # Somebody else may have moved it just now: then it is for the next try.
    git update-ref "$ref" "$new" "$old" || exit 75
}

receive() { # REPO
    cd "$1" || fail 75 "$1: not here"
    [ "$(git rev-parse --is-bare-repository)" = true ] || fail 78 "$1: no bare repository"
    letter=${MB_LETTER:-$$} refused=''
    bundle=$PWD/mailbag-$letter.bundle
    incoming=refs/incoming/$letter
    # shellcheck disable=SC2317
    clean() {
        rm -f "$bundle" "$bundle.refs"
        git for-each-ref --format='delete %(refname)' "$incoming/" | git update-ref --stdin
    }
    trap clean EXIT
    trap 'exit 75' HUP INT TERM
    cat >"$bundle" || fail 75 'no room'
    heads=$(git bundle list-heads "$bundle") || heads=''
    [ -n "$heads" ] || fail 65 'what came is no bundle'
    git bundle verify -q "$bundle" >/dev/null 2>&1 || fail 75 'what it builds upon has not come yet'
    git -c fetch.fsckObjects=true fetch -q --no-tags --no-write-fetch-head "$bundle" \
        "+refs/heads/*:$incoming/heads/*" "+refs/tags/*:$incoming/tags/*" || fail 65 'the bundle is damaged'
    git for-each-ref --format='%(objectname) %(refname)' "$incoming/" >"$bundle.refs" || fail 75 'no room'
    while read -r id ref; do take "refs/${ref#"$incoming/"}" "$id"; done <"$bundle.refs"
    [ -z "$refused" ] || fail 77 "rewritten, and so left as it was here:$refused"
}

case $# in
4) [ "$1" = send ] ;;
2) [ "$1" = receive ] ;;
*) false ;;
esac || fail 64 'git-bundle.sh send NODE HANDLE REPO | receive REPO'
"$@"
