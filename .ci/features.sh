#!/bin/sh
# Prints the cargo features that this machine can build and test beside the usual ones: `--features mpi` where there are an MPI
# library's mpicc and mpirun, and libclang. So tests, clippy and docs all compile the program once, with the same features.
#
# usage: features.sh
set -eu

command -v mpicc >/dev/null 2>&1 || exit 0
command -v mpirun >/dev/null 2>&1 || exit 0
[ -n "${LIBCLANG_PATH:-}" ] && { echo --features mpi; exit 0; }
for folder in /usr/lib /usr/lib64 /usr/local/lib /usr/lib/*-linux-gnu /usr/lib/llvm*/lib /opt/homebrew/opt/llvm/lib; do
    for library in "$folder"/libclang.so* "$folder"/libclang-*.so* "$folder"/libclang.dylib; do
        if [ -e "$library" ]; then
            echo --features mpi
            exit 0
        fi
    done
done
