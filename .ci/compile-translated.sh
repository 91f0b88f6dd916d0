#!/bin/sh
# Hands what `make translate` wrote to the compilers of the back ends, where they are installed: spirv-val, and dxc for HLSL.
#
# usage: compile-translated.sh FOLDER
set -eu

folder=$1
failed=0

# each ENDING COMMAND...: runs the command on every file with this ending.
each() {
    ending=$1
    shift
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "$1 is not installed: *.$ending were not looked at"
        return 0
    fi
    taken=0 refused=0 unknown=0
    for file in "$folder"/*."$ending"; do
        if "$@" "$file" >"$folder/last.log" 2>&1; then
            taken=$((taken + 1))
        # Cooperative matrices, of which spirv-val knows since 2023.4.
        elif grep -q 'capability operand: 6022' "$folder/last.log"; then
            unknown=$((unknown + 1))
        else
            refused=$((refused + 1))
            [ "$refused" -gt 5 ] || {
                echo "$file: $(grep -F "$(basename "$file")" "$folder/index.tsv" | cut -f 2)"
                head -n 3 "$folder/last.log"
            }
        fi
    done
    echo "$1: $taken of *.$ending taken, $refused refused, $unknown with matrices that this version does not know"
    [ "$refused" -eq 0 ] || failed=1
}

each spv spirv-val --target-env vulkan1.3
each 67.hlsl dxc -T cs_6_7 -E main -enable-16bit-types -HV 2018 -Fo /dev/null
exit $failed
