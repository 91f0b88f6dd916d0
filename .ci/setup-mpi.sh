#!/bin/sh
# Gives a Debian machine Open MPI and libclang, which the feature `mpi` is built with, for the tests in tests/ranks. Where all is there
# it does nothing and says nothing. Elsewhere, or if it cannot be had, it says so, and that is all: those tests are skipped then, and
# say so too.
#
# usage: setup-mpi.sh
set -eu

say() {
    printf 'setup-mpi: %s\n' "$*" >&2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

here=$(dirname "$0")
if [ -n "$("$here/features.sh")" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    say 'skipped: install an MPI library with mpicc and mpirun, and clang with libclang yourself'
    exit 0
fi
install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        openmpi-bin libopenmpi-dev clang libclang-dev
}
# A fresh container has no package lists.
install || { as_root apt-get update && install; } || say 'skipped: Open MPI could not be installed'
