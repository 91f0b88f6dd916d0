#!/usr/bin/env bash
# Everything worth knowing of Gatefold on a GPU, the most important first, in nine minutes.
#
#   bash gpu-day.sh [FOLDER]        FOLDER has the programs gatefold, kernels-tests and bench [default: where this file is]
#
# Variables: OUT=DIR for the results [gpu-day-results], TOTAL=540 seconds at most, ADAPTER=INDEX|NAME, QUICK=1 for a try-out that a
# software adapter gets through.
#
# The programs need no Rust, so they can be carried to a machine that has a driver and nothing else. With peers/torch_step.py beside
# them and a Python that has torch, the same steps are timed in PyTorch. At most eight files come back; lines are written as they are
# measured, so whatever ends a part costs that part's rest. Where to send the folder: bench/README.md.
set -u

here=$(cd "${1:-$(dirname "$0")}" && pwd) || exit 2
out=${OUT:-gpu-day-results}
total=${TOTAL:-540}
quick=${QUICK:-}
adapter=()
[ -n "${ADAPTER:-}" ] && adapter=(--adapter "$ADAPTER")

for program in gatefold kernels-tests bench; do
    if ! [ -f "$here/$program" ]; then
        echo "error: $here/$program is missing: build with 'cargo build --release --workspace' and copy it there" >&2
        exit 2
    fi
    chmod +x "$here/$program" 2>/dev/null
done
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# A cache of its own: nothing that was found before, and nothing left behind.
export GATEFOLD_CACHE=$work/cache XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/nonexistent}

# In containers the loader and NVIDIA's driver file may lie where nobody looks for them.
if ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' && [ -e "$here/lib/libvulkan.so.1" ]; then
    export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
if [ -z "${VK_DRIVER_FILES:-}" ] && ! ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then
    for file in /usr/local/nvidia/share/vulkan/icd.d/*.json "$here"/lib/*_icd.json; do
        [ -e "$file" ] && export VK_DRIVER_FILES="$file" VK_ICD_FILENAMES="$file" && break
    done
fi

summary=$out/00-summary.txt
: >"$summary"
say() { printf '%s\n' "$*" | tee -a "$summary"; }

# part FILE SECONDS NAME COMMAND...: what the command prints goes to the end of FILE; it gets SECONDS at most, and what is left.
part() {
    local file=$out/$1 limit=$2 name=$3 start=$SECONDS left code
    shift 3
    left=$((total - SECONDS - 3))
    if ((left < 5)); then
        say "$(printf '%-46s no time left' "$name")"
        return 0
    fi
    ((limit > left)) && limit=$left
    printf '\n### %s\n' "$name" >>"$file"
    timeout -k 3 "$limit" "$@" >>"$file" 2>&1
    code=$?
    say "$(printf '%-46s exit code %3d, %4d s' "$name" "$code" $((SECONDS - start)))"
    return "$code"
}

# 1. Which adapter is it?
{
    date -u
    uname -srm
    nproc
    nvidia-smi
} >"$out/01-devices.txt" 2>&1
if ! part 01-devices.txt 60 'devices' "$here/gatefold" devices; then
    say 'no adapter, so nothing else is run'
    exit 1
fi
part 01-devices.txt 60 'devices --json' "$here/gatefold" devices --json

# 2. Are the numbers right? Each op runs in a process of its own. First what is quick and says whether anything works.
ops=(--op relu,copy,batch_norm,max_pool,dense,conv2d)
[ "$quick" ] && ops=(--op relu,copy)
part 02-kernels.txt 30 'kernels: relu' "$here/kernels-tests" --op relu "${adapter[@]}"
part 02-kernels.txt 120 'kernels, with checks' "$here/kernels-tests" "${ops[@]}" "${adapter[@]}"
part 02-kernels.txt 90 'kernels, as training runs them' "$here/kernels-tests" "${ops[@]}" --unchecked "${adapter[@]}"
part 02-kernels-summary.json 60 'kernels, to paste' "$here/kernels-tests" --op relu,adam,conv2d --unchecked --summary "${adapter[@]}"

# 3. How fast is a step, and how fast could it be?
steps=('resnet50 64 224' 'prognet 128 260' 'densenet169 32 224' 'inception_v3 64 299')
many=10 classes=15 seconds=0.3
[ "$quick" ] && steps=('prognet 2 64') many=2 classes=5 seconds=0.02
torch=
[ -e "$here/peers/torch_step.py" ] && python3 -c 'import torch' 2>/dev/null && torch=1
part 03-steps.txt 40 roofline "$here/bench" roofline --seconds "$seconds" --json "${adapter[@]}"
for step in "${steps[@]}"; do
    read -r net batch size <<<"$step"
    of=("$net" --batch "$batch" --size "$size" --classes "$classes" --steps "$many")
    for precision in f32 mixed; do
        part 03-steps.txt 45 "step $step $precision" "$here/bench" step "${of[@]}" --precision "$precision" --json "${adapter[@]}"
    done
    if [ "$torch" ]; then
        part 04-torch.txt 50 "torch $step" python3 "$here/peers/torch_step.py" step "${of[@]}"
    fi
done

# 4. Does it learn, and the same twice?
covers=$work/covers
part 06-train.txt 30 'drawn covers' "$here/gatefold" sample "$covers"
epochs=8
[ "$quick" ] && epochs=1
train() {
    part 06-train.txt 60 "train $1" "$here/gatefold" train "$covers/covers.csv" --label genre --group artist --net small --size 64 \
        --batch 16 --lr 0.004 --epochs "$epochs" --precision "$2" --out "$work/$1" --no-tensorboard "${adapter[@]}"
}
train f32 f32
train again f32
train mixed mixed
if [ -e "$work/again/last.safetensors" ]; then
    cmp -s "$work/f32/last.safetensors" "$work/again/last.safetensors" && say 'a second run: the same bytes' || say 'a second run: OTHER BYTES'
fi

# 5. Which launches are slow?
read -r net batch size <<<"${steps[0]}"
for precision in f32 mixed; do
    part 05-launches.jsonl 60 "launches of $net, $precision" "$here/bench" kernels --net "$net" --batch "$batch" --size "$size" \
        --op conv2d --seconds 0.05 --precision "$precision" --json "${adapter[@]}"
done
part 03-steps.txt 40 "profile of $net" "$here/bench" step "$net" --batch "$batch" --size "$size" --classes "$classes" --steps 3 \
    --profile "${adapter[@]}"
say "done after $SECONDS s: $out"
