#!/bin/sh
# The small rows of kernels-tests on SwiftShader, a software driver that shares nothing with Mesa's. It comes with Debian's Chromium; two
# of its files are taken out of the package, and nothing is installed. Where there is no such package it says so, and that is all.
#
# usage: second-driver.sh KERNELS_TESTS
set -eu

say() {
    printf 'second-driver: %s\n' "$*" >&2
}

kernels_tests=$1
folder=${CARGO_TARGET_DIR:-target}/swiftshader
driver=$folder/usr/lib/chromium/vk_swiftshader_icd.json
if ! [ -e "$driver" ]; then
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        say 'skipped: this is no Debian, whose Chromium has the driver'
        exit 0
    fi
    mkdir -p "$folder"
    fetch() {
        (cd "$folder" && apt-get download chromium-common >download.log 2>&1)
    }
    # A fresh container has no package lists.
    if ! fetch && ! { [ "$(id -u)" -eq 0 ] && apt-get update >/dev/null 2>&1 && fetch; }; then
        say "skipped: the package chromium-common cannot be had ($folder/download.log)"
        exit 0
    fi
    dpkg-deb --fsys-tarfile "$folder"/chromium-common_*.deb |
        tar -x -C "$folder" ./usr/lib/chromium/vk_swiftshader_icd.json ./usr/lib/chromium/libvk_swiftshader.so
    rm -f "$folder"/chromium-common_*.deb
fi

# It compiles some kernels in more memory than there is: what is too much must fail here, and not end the machine. Batch-norm,
# convolutions and dense layers take minutes there; convolutions are tried on the smallest rows alone.
ulimit -v 12000000
export VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver"
"$kernels_tests" --op relu,add,copy,fill,flatten,concat,dropout,loss,grad_norm,adam
