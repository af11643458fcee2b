#!/bin/bash
# Makes the shipped model on a GPU machine that needs neither Go nor a network (see gpu.sh), and measures it:
#
#   make binary                                where Go is; carry build/focusnfix
#   bench/pretrain.sh all --minutes 25         or one stage after another, as time allows:
#   bench/pretrain.sh vae --minutes 9
#
# Checkpoints stay in build/pretrain, so a call goes on where the last one of the same stage stopped.
# What ships and what tells about it goes to ${OUT:-build/pretrain-results} as one archive in pieces of
# 15 MiB, which any way of copying takes:
#
#   cat pretrain.tar.gz.* | tar -xz        gives model/, sheets/, events.jsonl and report.md
set -euo pipefail
cd "$(dirname "$0")/.."

results=${OUT:-build/pretrain-results}
mkdir -p "$results"
results=$(cd "$results" && pwd)
export FNF_TORCH_SHIM=${FNF_TORCH_SHIM:-$PWD/build/libfnf_torch.so} OMP_WAIT_POLICY=passive
program=${FNF:-$PWD/build/focusnfix}
if [[ ! -x $program ]]; then
  echo "pretrain.sh: $program is missing: run 'make binary' where Go is, and carry it" >&2
  exit 1
fi
[[ -f $FNF_TORCH_SHIM ]] || FNF_JOBS=$(nproc) model/torch/shim/build.sh

finish() {
  local parts=() part
  for part in model sheets events.jsonl report.md; do
    [[ ! -e build/pretrain/$part ]] || parts+=("$part")
  done
  rm -f "$results"/pretrain.tar.gz.*
  tar -C build/pretrain -cz "${parts[@]}" | split -b 15M - "$results/pretrain.tar.gz."
}
trap finish EXIT
"$program" pretrain "${@:-all}" --out build/pretrain --resume
if [[ -f build/pretrain/model/judges/alignment-heldout.safetensors ]]; then
  "$program" pretrain report --out build/pretrain
fi
