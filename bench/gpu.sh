#!/bin/bash
# What a GPU must show, in ten minutes, on a borrowed machine: python3 with a CUDA torch and g++, neither Go nor a
# network. Build the bundle where Go is, carry it with the working tree, and run:
#
#   make gpu-bundle                    build/gpu.tar.xz, and build/gpu-tests.tar.xz for a second visit where both do not fit
#   bench/gpu.sh [--minutes 9]         results in ${OUT:-build/gpu-results}
#
# Steps come in the order of their worth. Each has a time limit of its own, writes its result at once, and ends
# nothing but itself when it fails; what no time is left for is skipped, and said. results.tsv has a line for each
# step: ok, FAILED or skipped, its name, seconds, and what it found. Ends with 1 if a step failed.
#
# A dry run, on a machine without a GPU, with a shim of libtorch 2.9 or newer: FNF_STAND_IN=compute bench/gpu.sh. It takes
# fewer steps and prompts, and of the tests those that are quick where every operator is computed by itself. SLOW=4 gives every step,
# and the whole, four times as long, for a machine that has other work.
# shellcheck disable=SC2317 # steps are called by their names
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

minutes=9
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=${2:?--minutes wants a number} && shift ;;
    *) echo "usage: bench/gpu.sh [--minutes 9]" >&2 && exit 2 ;;
  esac
  shift
done
slow=${SLOW:-1} deadline=$((minutes * 60 * ${SLOW:-1}))

out=${OUT:-build/gpu-results} steps=${STEPS:-12} images=30 few=10 many=60 prompts='' tests='' # all of them, and the preset's
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "${FNF_STAND_IN:-}" ]; then
  export OMP_NUM_THREADS=1
  steps=${STEPS:-1} images=4 few=2 many=6
  tests='Recompute|FirstStep|LossScale|Matches|TwoDevices|Gradient|Images|GPU|Meter'
  prompts=$work/prompts.txt # few base images to draw, and few for the gate
  printf '%s\n' 'a chef in the park' 'a wizard and a cat in the snow' 'a guard in the city' '[held out]' 'a singer in the desert' >"$prompts"
fi
mkdir -p "$out" && out=$(cd "$out" && pwd)
export FNF_TORCH_SHIM=${FNF_TORCH_SHIM:-$PWD/build/libfnf_torch.so} FNF_WEIGHTS=$PWD/model FNF_TEST_DEVICE=cuda:0 FNF_REQUIRE_TORCH=1
export XDG_CACHE_HOME=$work/cache OMP_WAIT_POLICY=passive PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}
bin=$PWD/build/gpu fnf=$PWD/build/gpu/focusnfix failed=0
: >"$out/results.tsv"

result() { printf '%s\t%s\t%s s\t%s\n' "$@" | tee -a "$out/results.tsv"; }

# step NAME SECONDS COMMAND...: output goes to NAME.txt; the last line that begins with "= " is what it found.
step() {
  local name=$1 limit=$(($2 * slow)) began=$SECONDS left=$((deadline - SECONDS)) status=ok
  shift 2
  if ((left < 5)); then
    result skipped "$name" 0 "no time left"
    return 1
  fi
  timeout -k 5 $((limit < left ? limit : left)) "$@" >"$out/$name.txt" 2>&1 || status=FAILED
  result $status "$name" $((SECONDS - began)) "$(grep '^= ' "$out/$name.txt" | tail -n 1 | cut -c 3-)"
  if [ $status = FAILED ]; then
    failed=1
    tail -n 3 "$out/$name.txt"
    return 1
  fi
}

compare() { # images in every element type with that of the CPU
  local kind
  for kind in cpu:float32 cuda:float32 cuda:float16 cuda:bfloat16; do
    "$fnf" generate "a chef in the park" -m builtin:scenes --device "${kind%:*}" --dtype "${kind#*:}" --seed 3 \
      --steps "$images" -q --images off -o "$work/${kind/:/-}.png" || return 1
  done
  python3 - "$work" <<'PY'
import struct, sys, zlib, math
def read(name):  # an 8-bit PNG without interlacing, in plain Python: the machine may lack pillow
    data, at, packed = open(f"{sys.argv[1]}/{name}.png", "rb").read(), 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        if kind == b"IHDR": w, h, _, color = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT": packed += body
        at += 12 + n
    size = {2: 3, 6: 4}[color]
    raw, rows, before = zlib.decompress(packed), [], bytearray(w * size)
    for y in range(h):
        f, row = raw[y * (w * size + 1)], bytearray(raw[y * (w * size + 1) + 1:(y + 1) * (w * size + 1)])
        for i in range(w * size):
            a, b, c = (row[i - size] if i >= size else 0), before[i], (before[i - size] if i >= size else 0)
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[f]) & 255
        rows.append(row); before = row
    return b"".join(bytes(r) for r in rows)
cpu, said, bad = read("cpu-float32"), [], False
for name, least in (("cuda-float32", 55), ("cuda-float16", 45), ("cuda-bfloat16", 35)):
    squares = sum((a - b) ** 2 for a, b in zip(read(name), cpu)) / len(cpu)
    psnr = 10 * math.log10(255 ** 2 / max(1e-9, squares))
    said.append(f"{name} {psnr:.1f} dB (want {least})"); bad |= psnr < least
print("=", ", ".join(said)); sys.exit(bad)
PY
}

train() { # NAME SETTINGS...: a training of the violence preset, or of PRESET
  local name=$1
  shift
  "$fnf" train "${PRESET:-violence}" --run "$work/$name" "$@" ${prompts:+--set "train.prompts=$prompts"} --set model.device=cuda || return 1
  cp "$work/$name/events.jsonl" "$out/events-$name.jsonl"
  python3 - "$work/$name/events.jsonl" <<'PY'
import json, sys
steps = [e["train"] for e in map(json.loads, open(sys.argv[1])) if e["kind"] == "step"]
last = steps[-1]
seconds = ", ".join(f"{k[:-8]} {last[k]:.2f}" for k in ("sample_seconds", "decode_seconds", "reward_seconds", "backward_seconds", "step_seconds"))
memory = last.get("memory_mib") or 0
print(f"= loss {steps[0]['loss']:.4f} to {last['loss']:.4f} in {len(steps)} steps; seconds: {seconds}; memory {memory / 1024:.2f} GiB")
PY
}

resume() { # one step more than the training before
  "$fnf" train --resume "$work/train-float16" --steps $((steps + 1)) && echo "= resumed"
}

follow() { # whether half types follow float32
  python3 - "$out" <<'PY'
import json, sys
def losses(name): return [e["train"]["loss"] for e in map(json.loads, open(f"{sys.argv[1]}/events-train-{name}.jsonl")) if e["kind"] == "step"]
want, said, bad = losses("float32"), [], False
size = max(map(abs, want))  # single losses pass through zero
for name in ("float16", "bfloat16"):
    d = max(abs(a - b) / size for a, b in zip(losses(name), want))
    said.append(f"{name} {100 * d:.2f} %"); bad |= d > {"float16": .02, "bfloat16": .05}[name]
print("= loss off float32 by", ", ".join(said), "of the largest"); sys.exit(bad)
PY
}

tests() { # PACKAGE [PATTERN]: a test binary runs in its package's folder
  local pkg=$1 pattern=${2:-$tests}
  (cd "$pkg" && "$bin/$pkg.test" -test.short -test.v -test.run "$pattern" -test.skip 'Soak|Killed') || return 1
}

passed() { # PACKAGE [PATTERN]: how many tests passed, and how many skipped
  tests "$@" >"$work/tests" 2>&1
  local status=$?
  cat "$work/tests"
  echo "= $(grep -c '^--- PASS' "$work/tests") passed, $(grep -c '^--- SKIP' "$work/tests") skipped, $(grep -c '^--- FAIL' "$work/tests") failed"
  return "$status"
}

gradients() { # of half types against float32, of the shipped model
  tests core/train 'HalfGradients' | tee "$work/gradients"
  local status=${PIPESTATUS[0]}
  echo "= $(sed -n 's/.*_test.go:[0-9]*: \(b*float16: .*\)/\1/p' "$work/gradients" | paste -sd ';')"
  return "$status"
}

peak_of() { # measured matrix peak in TFLOP/s, and what a training step of a real size reaches of it
  python3 - <<'PY'
import time
try:
    import torch
except ImportError:
    raise SystemExit(print("= no torch in python3"))
if not torch.cuda.is_available(): raise SystemExit(print("= no CUDA in python's torch"))
a = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
for _ in range(3): a @ a
torch.cuda.synchronize(); began = time.time()
for _ in range(20): a @ a
torch.cuda.synchronize()
print(f"= {20 * 2 * 8192 ** 3 / (time.time() - began) / 1e12:.0f} TFLOP/s in float16 matrices")
PY
}

full() { # KIND SIZE BATCH: a model of real size with random weights, two steps of the method
  "$fnf" replica -make "$work/$1" -kind "$1" -dtype float16 || return 1
  PRESET=oversexualization train "full-$1" --steps 2 --set "model.path=$work/$1" --set sample.num_steps="${FULL_STEPS:-50}" --set "sample.size=$2x$2" \
    --set sample.guidance_scale=7.5 --set train.batch="$3" --set train.backprop_steps=2 --set lora.rank=64 --set train.checkpoint_every=100 \
    --set train.images_every=100 --set reward.oversexualization.model=builtin:nsfw-mid --set reward.oversexualization.held_out=builtin:nsfw-small
}

peer() { # KIND SIZE BATCH: the same method in plain PyTorch, on the folder that full made
  local said
  said=$(python3 bench/peers/draft.py "$work/$1" --size "$2" --batch "$3" --num-steps "${FULL_STEPS:-50}") || return 1
  echo "= plain PyTorch $said"
}

# A denoising step of one image, whose operators are launched one by one: near 5 us each, CUDA graphs would pay.
single() { # MODEL OPERATORS
  local n began took=()
  for n in 2 "$few" "$many"; do # the first warms up
    began=$(date +%s%N)
    "$fnf" generate "a chef in the park" -m "$1" --device cuda --dtype float16 --seed 1 --steps "$n" -q --images off -o "$work/single.png" || return 1
    took+=($((($(date +%s%N) - began) / 1000)))
  done
  began=$(((took[2] - took[1]) / (many - few)))
  echo "= $began us a denoising step of one image, $((began / $2)) us an operator"
}

for archive in build/gpu.tar.xz build/gpu-tests.tar.xz; do
  [ ! -f "$archive" ] || { xz -dc "$archive" | tar -C build -x; } || exit 1
done
[ -d "$bin" ] || { echo "gpu.sh: no build/gpu.tar.xz: run 'make gpu-bundle' where Go is, and carry it here" >&2 && exit 1; }
# Functions run in a process of their own, under a time limit.
export -f compare train resume follow tests passed gradients peak_of full peer single
export out work steps images few many prompts tests fnf bin
call() { local name=$1 limit=$2; shift 2; step "$name" "$limit" bash -c '"$@"' step "$@"; }
program() { [ ! -x "$fnf" ] || call "$@"; } # a step that needs it

# (a) the shim, and what the machine is
[ -f "$FNF_TORCH_SHIM" ] || call shim 180 env FNF_JOBS="$(nproc)" model/torch/shim/build.sh
program doctor 120 "$fnf" doctor
call peak 30 peak_of
# (b) images, (c) gradients, and training in every type, resume
program images 90 compare
[ -x "$bin/core/train.test" ] && call gradients 60 gradients
for dtype in float32 float16 bfloat16; do
  program "train-$dtype" 90 train "train-$dtype" --steps "$steps" --set model.dtype=$dtype --set train.checkpoint_every="$steps"
done
program follow 10 follow
program single-shipped 60 single builtin:scenes 788
program resume 60 resume
# (d) tests on the device
for pkg in core/train model/torch model/sd core/engine; do
  [ -f "$bin/$pkg.test" ] && [ -z "${NO_TESTS:-}" ] && call "test-${pkg//\//-}" 100 passed "$pkg"
done
# (e) models of real size; not on the stand-in, which computes on the CPU
if [ -z "${FNF_STAND_IN:-}" ]; then
  program full-sd15 120 full sd15 512 4 && [ -d "$work/sd15" ] && call full-sd15-peer 90 peer sd15 512 4
  [ -d "$work/sd15" ] && program single-sd15 60 single "$work/sd15" 1286
  program full-sdxl 150 full sdxl 1024 1 && [ -d "$work/sdxl" ] && call full-sdxl-peer 90 peer sdxl 1024 1
fi
# (f) a whole training, with what time is left, and (g) pretraining of the shipped model
left=$((deadline - SECONDS))
if ((left > 60)) && [ -z "${FNF_STAND_IN:-}" ]; then
  program violence $((left < 150 ? left : 150)) train violence
fi
if (((left = deadline - SECONDS) > 60)) && [ -z "${FNF_STAND_IN:-}" ]; then
  program pretrain "$left" env FNF="$fnf" OUT="$out/pretrain" bench/pretrain.sh all --minutes $((left / 60))
fi
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$out/gpu.txt"
echo "gpu.sh: $SECONDS s, $(grep -c ^ok "$out/results.tsv") ok, $(grep -c ^FAILED "$out/results.tsv") failed, $(grep -c ^skipped "$out/results.tsv") skipped"
exit $failed
