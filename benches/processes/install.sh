#!/usr/bin/env bash
# Builds the peers of connect.py that tests/interop/install.sh does not have, into target/processes/:
# libnice (Debian's), libjuice (the sources that the crate datachannel-sys carries), `is` and
# `rice-proto`. Safe to run again. Needs root for the Debian packages.
set -euo pipefail

DATACHANNEL_SYS_VERSION=0.23.0
PACKAGES=(libnice-dev gcc pkg-config)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/target/processes
mkdir -p "$out"

missing=()
for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

# shellcheck disable=SC2046
gcc -O2 -Wall -o "$out/libnice-peer" "$here/libnice_peer.c" $(pkg-config --cflags --libs nice)

if [ ! -d "$out/vendor" ]; then
    mkdir -p "$out/sources/src"
    touch "$out/sources/src/lib.rs"
    cat > "$out/sources/Cargo.toml" <<TOML
[package]
name = "sources"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
datachannel-sys = "=$DATACHANNEL_SYS_VERSION"
TOML
    cargo vendor --quiet --manifest-path "$out/sources/Cargo.toml" "$out/vendor" > /dev/null
fi
juice=$out/vendor/datachannel-sys/libdatachannel/deps/libjuice
gcc -O2 -DJUICE_STATIC -I "$juice/include" -I "$juice/include/juice" -I "$juice/src" \
    -o "$out/libjuice-peer" "$here/libjuice_peer.c" "$juice"/src/*.c -lpthread

cargo build --quiet --release --manifest-path "$here/../peers/Cargo.toml" --bin peer
echo "install: done"
