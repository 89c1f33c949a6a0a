#!/bin/sh
# Check a journal or a receipt without the program that wrote it: sed, sha256sum, jq, openssl and a POSIX shell.
#
#   verify.sh journal DIR [PUBLIC_KEY]             chain and head; with a key the signed tree head and its root
#   verify.sh receipt RECEIPT ARTIFACT PUBLIC_KEY  that the file was published in a journal whose tree head the key signed
#
# PUBLIC_KEY is a file as keygen writes it. Status 0: it holds; 3: it does not; 2: it cannot be checked.
set -eu
LC_ALL=C
export LC_ALL

fail() { echo "error: $*" >&2; exit 3; }
cannot() { echo "error: $*" >&2; exit 2; }

for tool in sed sha256sum jq openssl od tail head wc; do
    command -v "$tool" >/dev/null || cannot "expected $tool, got none: install it"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

# hex digits -> bytes, and back; base64 -> bytes
bytes() { sed 's/../& /g' | while read -r line; do for byte in $line; do printf "\\$(printf '%03o' "0x$byte")"; done; done; }
hex() { od -An -v -tx1 | sed 's/ //g' | sed -e ':a' -e 'N' -e '$!ba' -e 's/\n//g'; }
unbase64() { openssl base64 -d -A; }
sha256() { sha256sum | sed 's/ .*//'; }

# RFC 6962: a leaf is 0x00 and the entry, a node is 0x01 and its two halves
leaf() { { printf '\000'; printf '%s' "$1"; } | sha256; }
node() { { printf '\001'; printf '%s%s\n' "$1" "$2" | bytes; } | sha256; }

# signed NOTE PUBLIC_KEY: check the signature under the text of a note; then $work/text is true
signed() {
    key=$(sed -n 1p "$2")
    name=${key%%+*}
    rest=${key#*+}
    id=${rest%%+*}
    printf '%s' "${rest#*+}" | unbase64 > "$work/raw" || cannot "$2: expected a public key NAME+ID+BASE64"
    [ "$(wc -c < "$work/raw")" -eq 33 ] || cannot "$2: expected a public key NAME+ID+BASE64"
    [ "$(head -c 1 "$work/raw" | hex)" = 01 ] || cannot "$2: expected the key of a journal, got another kind"
    { echo '-----BEGIN PUBLIC KEY-----'
      { echo 302a300506032b6570032100 | bytes; tail -c 32 "$work/raw"; } | openssl base64
      echo '-----END PUBLIC KEY-----'; } > "$work/key.pem"
    sed '/^$/,$d' "$1" > "$work/text"
    sed '1,/^$/d' "$1" | while read -r dash signer signature; do
        [ "$dash" = '—' ] && [ "$signer" = "$name" ] || continue
        printf '%s' "$signature" | unbase64 > "$work/signature"
        [ "$(head -c 4 "$work/signature" | hex)" = "$id" ] || continue
        tail -c 64 "$work/signature" > "$work/signature.64"
        openssl pkeyutl -verify -pubin -inkey "$work/key.pem" -rawin -in "$work/text" -sigfile "$work/signature.64" \
            > "$work/openssl" 2>&1 || exit 3
        : > "$work/good"
    done || fail "$1: expected a signature of $name+$id, got one that does not verify"
    [ -e "$work/good" ] || fail "$1: expected a signature of $name+$id, got none"
}

# slot LINE: the size of a slot of the head whose checksum fits, or nothing
slot() {
    stated=$(printf '%s' "$1" | sed -n 's/^.\{107\}\([0-9a-f]\{16\}\).*$/\1/p')
    actual=$(printf '%s' "$1" | sed 's/^\(.\{106\}\).*$/\1/' | tr -d '\n' | sha256)
    [ -n "$stated" ] && [ "$stated" = "$(printf '%s' "$actual" | sed 's/^\(.\{16\}\).*$/\1/')" ] && printf '%s' "$1"
}

number() { printf '%s' "$1" | sed 's/^0*\([0-9]\)/\1/'; }

check_journal() {
    journal=$1/journal.jsonl
    [ -r "$journal" ] && [ -r "$1/journal.head" ] || cannot "$1: expected journal.jsonl and journal.head"
    first=$(slot "$(sed -n 1p "$1/journal.head")") || first=
    second=$(slot "$(sed -n 2p "$1/journal.head")") || second=
    [ -n "$first$second" ] || fail "$1/journal.head: expected a slot whose checksum fits, got none"
    [ -n "$first" ] || first=$second
    [ -n "$second" ] || second=$first
    newest=$first
    # shellcheck disable=SC2086 # three words and a checksum
    [ "$(number ${second%% *})" -gt "$(number ${first%% *})" ] && newest=$second
    set -- "$1" "${2:-}" $newest
    size=$(number "$3") end=$(number "$4") tip=$5

    head -n "$size" "$journal" > "$work/lines"
    [ "$(wc -c < "$work/lines")" -eq "$end" ] || fail "$journal: expected $size lines of $end bytes, as acknowledged"
    jq -r '[.sequence, .source, .prev, .hash] | join(" ")' < "$work/lines" > "$work/fields" 2> /dev/null \
        || fail "$journal: expected JSON in every line"
    prev=0000000000000000000000000000000000000000000000000000000000000000
    origin=
    position=0
    : > "$work/level"
    exec 3< "$work/fields"
    while IFS= read -r line; do
        IFS=' ' read -r sequence source its_prev its_hash <&3 || fail "$journal: entry $position: expected its fields"
        hash=$(printf '%s' "$line" | sed 's/,"hash":"[0-9a-f]\{64\}"}$//' | sha256sum_of_text)
        [ "$(number "$sequence")" -eq "$position" ] || fail "$journal: entry $position: expected its position, got $sequence"
        [ "${origin:=$source}" = "$source" ] || fail "$journal: entry $position: expected source $origin, got $source"
        [ "$its_prev" = "$prev" ] || fail "$journal: entry $position: expected prev $prev, got $its_prev"
        [ "$its_hash" = "$hash" ] || fail "$journal: entry $position: expected hash $its_hash, got $hash"
        case $line in
            *",\"prev\":\"$prev\",\"hash\":\"$hash\"}") ;;
            *) fail "$journal: entry $position: expected prev and hash at its end" ;;
        esac
        [ -z "$2" ] || leaf "$line" >> "$work/level"
        prev=$hash
        position=$((position + 1))
    done < "$work/lines"
    [ "$position" -eq "$size" ] && [ "$prev" = "$tip" ] || fail "$journal: expected hash $tip at the end, got $prev"
    echo "chain and head: $size entries, hash $tip"
    [ -z "$2" ] || check_tree_head "$1/tree_head.note" "$2"
}

# what printf prints has no newline at its end, but sed adds one
sha256sum_of_text() { tr -d '\n' | sha256; }

# root_of SIZE: the root over the first SIZE leaves in $work/level
root_of() {
    head -n "$1" "$work/level" > "$work/below"
    while [ "$(wc -l < "$work/below")" -gt 1 ]; do
        while read -r left; do
            if read -r right; then node "$left" "$right"; else echo "$left"; fi
        done < "$work/below" > "$work/above"
        mv "$work/above" "$work/below"
    done
    sed -n 1p "$work/below"
}

check_tree_head() {
    [ -r "$1" ] || fail "$1: expected a signed tree head, got none"
    signed "$1" "$2"
    signed_size=$(sed -n 2p "$work/text")
    [ "modelog/${origin#urn:uuid:}" = "$(sed -n 1p "$work/text")" ] || fail "$1: expected a tree head of $origin"
    [ "$signed_size" -le "$size" ] || fail "$1: expected $signed_size entries, as were signed, got $size"
    wanted=$(sed -n 3p "$work/text" | unbase64 | hex)
    root=$(root_of "$signed_size")
    [ "$root" = "$wanted" ] || fail "$1: expected root $wanted, as was signed, got $root"
    echo "tree head: $signed_size of $size entries signed by $name, root $root"
}

check_receipt() {
    for file in "$1" "$2" "$3"; do [ -r "$file" ] || cannot "$file: expected a file, got none"; done
    [ "$(sed -n 1p "$1")" = c2sp.org/tlog-proof@v1 ] || cannot "$1: expected a receipt"
    [ ! -d "$2" ] || cannot "$2: expected a file, got a directory: modelog verify-receipt reads those"
    sed '1,/^$/d' "$1" > "$work/note"
    signed "$work/note" "$3"
    sed -n 's/^extra //p' "$1" | sed -n 1p | unbase64 > "$work/entry"
    index=$(sed -n 's/^index //p' "$1" | sed -n 1p)
    signed_size=$(sed -n 2p "$work/text")
    [ "$index" -lt "$signed_size" ] || fail "$1: expected a position below $signed_size, got $index"
    found=$({ printf '\000'; sed -n p "$work/entry"; } | leaf_of_entry)
    last=$((signed_size - 1)) at=$index
    sed -e '1,3d' -e '/^$/,$d' "$1" > "$work/proof"
    while read -r line; do
        sibling=$(printf '%s' "$line" | unbase64 | hex)
        [ "$last" -gt 0 ] || fail "$1: expected fewer hashes"
        if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
            found=$(node "$sibling" "$found")
            while [ $((at % 2)) -eq 0 ] && [ "$at" -ne 0 ]; do at=$((at / 2)) last=$((last / 2)); done
        else
            found=$(node "$found" "$sibling")
        fi
        at=$((at / 2)) last=$((last / 2))
    done < "$work/proof"
    [ "$last" -eq 0 ] || fail "$1: expected more hashes"
    wanted=$(sed -n 3p "$work/text" | unbase64 | hex)
    [ "$found" = "$wanted" ] || fail "$1: expected root $wanted, as was signed, got $found from the entry"
    recorded=$(jq -r 'select(.type == "model.published.v1").data.sha256' < "$work/entry")
    actual=$(sha256 < "$2")
    [ "$recorded" = "$actual" ] || fail "$2: expected sha256 ${recorded:-of a publication}, got $actual"
    echo "receipt: published, at position $index of $signed_size signed by $name"
    jq -c '{model_id: .subject, time, actor, reason: .data.reason, sha256: .data.sha256}' < "$work/entry"
}

# the entry has no newline at its end, whatever sed made of it
leaf_of_entry() { tr -d '\n' | sha256; }

case "${1:-} $#" in
    'journal 2' | 'journal 3') check_journal "$2" "${3:-}" ;;
    'receipt 4') check_receipt "$2" "$3" "$4" ;;
    *) cannot "expected 'journal DIR [PUBLIC_KEY]' or 'receipt RECEIPT ARTIFACT PUBLIC_KEY'" ;;
esac
