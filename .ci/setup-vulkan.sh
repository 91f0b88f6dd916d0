#!/bin/sh
# Gives a Linux machine without any Vulkan adapter Mesa's software driver. Where there is an adapter it does nothing and
# says nothing, so it can be run again at any time.
#
# usage: setup-vulkan.sh COMMAND...
#
# COMMAND says whether there is an adapter: exit code 0 if there is, 2 if there is none, as `gatefold devices` does.
# A driver's file in /usr/share/vulkan proves nothing (an image can carry a driver without its device), so we ask the
# program itself, which sees what it will see when it works.
set -eu

say() {
    printf 'setup-vulkan: %s\n' "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

# Whether the command in the arguments finds an adapter.
has_adapter() {
    status=0
    "$@" >/dev/null 2>&1 || status=$?
    case $status in
        0) return 0 ;;
        2) return 1 ;;
        *) fail "'$*' ended with exit code $status; run it by hand to see why" ;;
    esac
}

# Sets `manager` and `packages` to what this distribution has.
find_manager() {
    if command -v apt-get >/dev/null 2>&1; then
        manager=apt-get packages='mesa-vulkan-drivers libvulkan1'
    elif command -v dnf >/dev/null 2>&1; then
        manager=dnf packages='mesa-vulkan-drivers vulkan-loader'
    elif command -v pacman >/dev/null 2>&1; then
        manager=pacman packages='vulkan-swrast vulkan-icd-loader'
    else
        fail "no Vulkan adapter, and none of apt-get, dnf, pacman is here: install Mesa's software Vulkan driver" \
            "(lavapipe) and the Vulkan loader yourself, then try again"
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# $packages is a list: its words are meant to be split.
# shellcheck disable=SC2086
install_packages() {
    case $manager in
        apt-get)
            # A fresh container has no lists. Where they cannot be fetched, older ones may still do.
            as_root apt-get update || say "the package lists could not be refreshed; trying with those at hand"
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
            ;;
        dnf)
            as_root dnf install -y $packages
            ;;
        pacman)
            # First with the lists at hand: refreshing them alone would leave the system half upgraded.
            as_root pacman -S --needed --noconfirm $packages || as_root pacman -Sy --needed --noconfirm $packages
            ;;
    esac
}

if [ $# -eq 0 ]; then
    say 'usage: setup-vulkan.sh COMMAND... (which ends with 0 if there is an adapter, with 2 if there is none)'
    exit 2
fi
# macOS has Metal, Windows DX12: nothing to do there.
[ "$(uname -s)" = Linux ] || exit 0
if has_adapter "$@"; then
    exit 0
fi

# Another driver would not be looked at.
for variable in VK_DRIVER_FILES VK_ICD_FILENAMES; do
    eval "value=\${$variable:-}"
    if [ -n "$value" ]; then
        fail "no Vulkan adapter with $variable=$value: unset it, or point it at a driver of this machine"
    fi
done

find_manager
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    fail "no Vulkan adapter, and no sudo to install Mesa's software driver: as root, install $packages with $manager"
fi
say "no Vulkan adapter on this machine: installing Mesa's software driver with $manager ($packages)"
install_packages || fail "$manager could not install $packages; see its messages above"
has_adapter "$@" || fail "$packages are installed, but there is still no Vulkan adapter"
say "done: Gatefold will use the software adapter"
