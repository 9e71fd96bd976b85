#!/usr/bin/env bash
# Installs the foreign ICE stacks of the interop harness and builds their peers
# into target/interop/. Safe to run again: what is there already is kept.
# For Debian and its relatives; needs root, or sudo, for system packages.
set -euo pipefail

AIOICE_VERSION=0.13.0
PLAYWRIGHT_VERSION=1.60.0
# Drives Chromium and Firefox in the versions of Debian.
PUPPETEER_VERSION=25.16.0
# The peer that `first_echo.mjs` compares with.
WERIFT_VERSION=0.25.2
PACKAGES=(golang golang-github-pion-ice.v2-dev python3 python3-venv chromium firefox-esr
    fonts-dejavu-core iproute2 util-linux avahi-daemon avahi-utils dbus coturn nftables openssl)
# Node.js may be there from elsewhere than Debian, whose npm would not install beside it.
command -v node >/dev/null || PACKAGES+=(nodejs)
command -v npm >/dev/null || PACKAGES+=(npm)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/target/interop
venv=$out/venv
browser=$out/browser

main() {
    mkdir -p "$out"
    install_packages
    install_aioice
    install_npm playwright-core "$PLAYWRIGHT_VERSION"
    install_npm puppeteer-core "$PUPPETEER_VERSION"
    install_npm werift "$WERIFT_VERSION"
    build_pion_peer
    say "done"
}

say() { echo "install: $*"; }

fail() {
    echo "install: $*" >&2
    exit 1
}

install_packages() {
    local missing=()
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "system packages: all there"
        return
    fi
    say "system packages: installing ${missing[*]}"
    apt_install "${missing[@]}" || {
        say "system packages: refreshing the package lists"
        as_root apt-get update
        apt_install "${missing[@]}" || fail "could not install ${missing[*]}"
    }
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_aioice() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "aioice $AIOICE_VERSION needs Python 3.11 or newer"
    if [ "$(installed_aioice)" = "$AIOICE_VERSION" ]; then
        say "aioice $AIOICE_VERSION: there"
        return
    fi
    say "aioice $AIOICE_VERSION: installing into $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "aioice==$AIOICE_VERSION"
}

installed_aioice() {
    [ -x "$venv/bin/python" ] || return 0
    "$venv/bin/python" -c \
        'from importlib.metadata import version; print(version("aioice"))' 2>/dev/null || true
}

# Packages of npm. None of them brings a browser: those are Debian's.
install_npm() {
    local package=$1 version=$2
    if [ "$(installed_npm "$package")" = "$version" ]; then
        say "$package $version: there"
        return
    fi
    say "$package $version: installing into $browser"
    mkdir -p "$browser/$package"
    npm install --prefix "$browser/$package" --no-save --no-package-lock --no-audit --no-fund \
        --loglevel=error "$package@$version"
}

installed_npm() {
    node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).version' \
        "$browser/$1/node_modules/$1/package.json" 2>/dev/null || true
}

# The Debian package holds pion as a source tree in the pre-module layout.
build_pion_peer() {
    say "pion peer: building $out/pion-peer"
    (
        cd "$here/pion"
        GO111MODULE=off GOFLAGS='' GOPATH=/usr/share/gocode CGO_ENABLED=0 \
            go build -o "$out/pion-peer" .
    )
}

main "$@"
