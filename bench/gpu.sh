#!/bin/bash
# Tests and benchmarks on a GPU machine that has python3 with a CUDA torch and g++, but needs neither
# Go nor a network. Build the bundle where Go is, carry it with the working tree, and run:
#
#   make gpu-bundle       build/gpu.tar.gz
#   bench/gpu.sh          results in ${OUT:-build/gpu-results}
#
# Ends with 1 when the shim does not compile, doctor fails, or a test fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

results=${OUT:-build/gpu-results}
mkdir -p "$results"
results=$(cd "$results" && pwd)
bundle=$PWD/build/gpu
export FNF_TORCH_SHIM=$PWD/build/libfnf_torch.so FNF_REQUIRE_TORCH=1 OMP_WAIT_POLICY=passive
failed=0

rm -rf "$bundle"
if ! tar -C build -xzf build/gpu.tar.gz; then
  echo "gpu.sh: no build/gpu.tar.gz: run 'make gpu-bundle' where Go is, and carry it here" >&2
  exit 1
fi
time FNF_JOBS=$(nproc) model/torch/shim/build.sh || exit 1
rm -f "$results/tests.txt"
"$bundle/focusnfix" doctor | tee "$results/doctor.txt" || failed=1

# A test binary runs in its package's folder: build/gpu/model/torch.test in model/torch.
while read -r binary; do
  dir=${binary#"$bundle/"}
  dir=${dir%.test}
  log=$(mktemp)
  if (cd "$dir" && "$binary" -test.v -test.timeout 5m -test.bench .) >"$log" 2>&1; then
    echo "ok   $dir: $(grep -c '^--- PASS' "$log") passed, $(grep -c '^ *--- SKIP' "$log") skipped"
  else
    echo "FAIL $dir"
    grep -B 20 -A 5 -e '--- FAIL' -e '^panic:' "$log"
    failed=1
  fi
  { echo "== $dir" && cat "$log"; } >>"$results/tests.txt"
  rm -f "$log"
done < <(find "$bundle" -name '*.test' | sort)
exit $failed
