#!/bin/sh
# Starts a command with the Vulkan drivers of Debian 13 (Mesa 25), whose RADV knows newer GPUs: `bench isa --family navi31` needs it
# where the machine's own Mesa is older. They are unpacked beside, with the loader and the C library that they want, and nothing is
# installed.
#
# usage: newer-mesa.sh COMMAND...
set -eu

fail() {
    printf 'newer-mesa: error: %s\n' "$*" >&2
    exit 2
}

[ $# -gt 0 ] || fail 'usage: newer-mesa.sh COMMAND...'
[ "$(uname -sm)" = 'Linux x86_64' ] || fail 'only for Linux on x86_64'
program=$(command -v "$1") || fail "$1: there is no such program"
shift
folder=$(mkdir -p "${CARGO_TARGET_DIR:-target}/newer-mesa" && cd "${CARGO_TARGET_DIR:-target}/newer-mesa" && pwd)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
libraries=$folder/root/usr/lib/x86_64-linux-gnu

if ! [ -e "$folder/done" ]; then
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
        fail 'needs apt-get and dpkg-deb; or use a distribution with Mesa 23 to 25'
    mkdir -p "$folder/lists/partial" "$folder/debs/partial" "$folder/root"
    : >"$folder/status"
    [ -e "$keys" ] || fail "needs Debian's keys ($keys): install debian-archive-keyring"
    echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" >"$folder/sources"
    # Package lists of its own, and no package counts as installed: so all libraries come along.
    apt() {
        apt-get -o Dir::Etc::SourceList="$folder/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$folder" \
            -o Dir::State::status="$folder/status" -o Dir::Cache="$folder" -o Dir::Cache::archives="$folder/debs" \
            -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o APT::Architecture=amd64 "$@" >>"$folder/log" 2>&1
    }
    apt update && apt install -y --no-install-recommends --download-only mesa-vulkan-drivers libvulkan1 ||
        fail "the packages cannot be had; see $folder/log"
    for package in "$folder"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$folder/root"
    done
    rm -rf "$folder"/debs
    touch "$folder/done"
fi

driver=$folder/root/usr/share/vulkan/icd.d/radeon_icd.json
export VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver"
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$program" "$@"
