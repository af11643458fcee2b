#!/bin/bash
# Prints the rows of "Memory of a GPU" in results.md: what one step of training takes, by model, size, batch and K.
#
#   make binary && bench/memory.sh [sd15 sd21 sdxl sd35-t5 zimage]
#
# FNF_TORCH_SHIM must be of libtorch 2.9 or newer, whose stand-in for a GPU walks through shapes alone. Models are
# files of the right size with nothing in them. No GPU is needed, nothing is computed: some seconds a row.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/fullsize" ./bench/fullsize

# row KIND NAME SIZE BATCH K PRESET: LoRA as in the preset, judges that are part of the program, a half type.
row() {
  build/focusnfix plan "$6-oversexualization" --no-probe --json --set "model.path=$work/$1" \
    --set "sample.size=$3x$3" --set "train.batch=$4" --set "train.backprop_steps=$5" |
    python3 -c 'import json, sys
p, gib = json.load(sys.stdin), 2 ** 30
m = p["memory"]["phases"]
values = [p["memory"]["loading"], p["memory"]["weights"]] + [m[k] for k in ("references", "sample", "decode", "reward", "backward")] + [p["needed_bytes"]]
print("| %s, %s, batch %s, K %s | " % tuple(sys.argv[1:]) + " | ".join("%.1f" % (v / gib) for v in values) + " |")' "$2" "$3" "$4" "$5"
}

[[ $# -gt 0 ]] || set -- sd15 sd21 sdxl sd35-t5 zimage
echo '| | loading | weights | references | sampling | decoding | rewards | gradients | needed of the card |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
for kind; do
  "$work/fullsize" -make "$work/$kind" -kind "$kind" -dtype float16 -hollow
  case $kind in
    sd15) for b in 1 2 4 8; do for k in 1 2 10; do row sd15 "SD 1.5" 512 $b $k sd1; done; done ;;
    sd21) for b in 1 2 4 8; do for k in 1 2 10; do row sd21 "SD 2.1" 768 $b $k sd1; done; done ;;
    sd35-t5) for s in 512 1024; do for b in 1 2 4; do for k in 1 4; do row "$kind" "SD 3.5 medium with T5" $s $b $k sd35; done; done; done ;;
    zimage) for s in 512 1024; do for b in 1 2; do for k in 1 2; do row "$kind" Z-Image-Turbo $s $b $k zimage; done; done; done ;;
    sdxl) for b in 1 2 4; do for k in 1 2 10; do row sdxl SDXL 1024 $b $k sdxl; done; done ;;
  esac
done
