#!/bin/sh
# Gives a Debian machine Open MPI and libclang, which the feature `mpi` is built with, for the tests in tests/ranks. Where all is there
# it does nothing and says nothing. Elsewhere, or if it cannot be had, it says so, and that is all: those tests are skipped then, and
# say so too.
#
# usage: setup-mpi.sh
set -eu

. "$(dirname "$0")/optional.sh"

here=$(dirname "$0")
if [ -n "$("$here/features.sh")" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    say 'skipped: install an MPI library with mpicc and mpirun, and clang with libclang yourself'
    exit 0
fi
apt_install openmpi-bin libopenmpi-dev clang libclang-dev || say 'skipped: Open MPI could not be installed'
