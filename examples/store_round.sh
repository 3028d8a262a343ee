#!/bin/sh
# Once round a store: written for containers-storage, and the same with holdctl.
#
#   COMMAND=holdctl store_round.sh GRAPHROOT RUNROOT DRIVER [ADDITIONAL-GRAPHROOT IMAGE]
#
# Builds layers, images and containers (one with ID maps, one on an additional store's image), mounts
# and writes, diffs and applies, renames, asks, and deletes all of it. IDs that are made up are
# never printed, so what it says is the same on every store.
set -eu

graph=$1 run=$2 driver=$3 other=${4:-} other_image=${5:-}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

storage() {
    "${COMMAND:-containers-storage}" --graph "$graph" --run "$run" --storage-driver "$driver" \
        ${other:+--storage-opt "$driver.imagestore=$other"} "$@"
}

fails() {
    if storage "$@"; then
        echo "it was to fail: $*" >&2
        exit 1
    fi
}

digest() { sha256sum | cut -c 1-64; }

echo "== layers, written while they are mounted"
storage create-layer --id base --name base-name
top=$(storage mount base)
mkdir -p "$top/etc" "$top/old/below"
echo hello >"$top/etc/motd"
echo gone >"$top/old/below/file"
ln "$top/etc/motd" "$top/etc/again"
ln -s motd "$top/etc/link"
chown 3:4 "$top/old"
chmod 4750 "$top/etc/motd"
find "$top" -exec touch --no-dereference --date @1600000000 {} +
storage mounted base
storage unmount base
storage create-layer -i middle base-name >/dev/null
top=$(storage mount middle)
rm -r "$top/old"
echo more >>"$top/etc/motd"
find "$top" -exec touch --no-dereference --date @1600000001 {} +
storage unmount middle
storage changes middle | sort
storage diffsize middle

echo "== a layer as a stream, and into others"
storage diff --uncompressed --file "$work/base.tar" base
storage diff --gzip base | gzip --decompress | cmp - "$work/base.tar"
tar --list --verbose --numeric-owner --utc --file "$work/base.tar"
storage import-layer -i imported --file "$work/base.tar"
storage diff imported | cmp - "$work/base.tar"
storage create-layer -i applied >/dev/null
gzip --no-name <"$work/base.tar" | storage applydiff applied
digest <"$work/base.tar" >"$work/sum"
storage diff -u applied | digest | cmp - "$work/sum"
storage changes applied imported
storage layer applied
fails applydiff --file /etc/hostname applied 2>/dev/null

echo "== an image, with names and data"
storage create-image --id image --name one --name two --metadata '{"by":"hand"}' middle
echo '{"schemaVersion":2}' | storage set-image-data image manifest
storage list-image-data image
storage get-image-data image manifest
storage get-image-data-size image manifest
storage get-image-data-digest image manifest
storage images-by-digest --quiet "$(storage get-image-data-digest image manifest)"
storage add-names --name three image
storage set-names --name renamed --name other image
storage get-names image
storage metadata --quiet image
storage exists --image renamed
fails exists one
fails create-image --name other base 2>&1 | sed 's/"[0-9a-f]\{64\}"/ID/'

echo "== containers"
storage create-container --id web --name web-name image | head -n 1
echo '{}' | storage set-container-data web config.json
storage get-container-data web-name config.json
top=$(storage mount web)
cat "$top/etc/motd"
echo index >"$top/index.html"
test ! -e "$top/old"
storage unmount web
layer=$(storage container --json web | sed 's/.*"layer":"\([^"]*\)".*/\1/')
storage changes "$layer"
fails delete-image image
fails delete-layer middle 2>&1 | sed 's|[0-9a-f]\{64\}|ID|'

echo "== a container with ID maps"
storage create-container -i mapped --uidmap 0:1000:100 --gidmap 0:2000:100 renamed >/dev/null
top=$(storage mount mapped)
stat --format '%u:%g %n' "$top/etc/motd" | sed "s|$top||"
storage unmount mapped
storage container --json mapped | grep -o '"uidmap":[^]]*]'

if [ -n "$other" ]; then
    echo "== an additional store's image"
    storage image "$other_image"
    storage create-container -i theirs "$other_image" >/dev/null
    top=$(storage mount theirs)
    ls "$top"
    storage unmount theirs
    fails delete-image "$other_image"
    storage delete-container theirs
fi

echo "== and all of it away"
storage delete-container web mapped
storage delete-image --test renamed 2>&1 | grep -c .
storage delete-image renamed >/dev/null 2>&1
storage delete-layer applied imported
storage wipe
storage layers --json | tr -d '[]nul\n'
storage images
storage containers
storage shutdown
