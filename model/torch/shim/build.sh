#!/bin/sh
# Compiles the shim against this machine's libtorch into build/libfnf_torch.so.
#
#   build.sh [--print] [--out DIR] [--system PREFIX] [--without FEATURE]...
#
#   --print    only say which libtorch and flags would be used
#   --without  leave out nccl (several GPUs) or standin (GPU tests without a GPU, focusnfix plan)
#   --out      where the library goes (default: build/ at the top of the repository)
#   --system   where the distribution installs libraries (default: /usr)
#
# libtorch 1.13 or newer is taken from the first of these that has headers and libraries:
#
#   1. $FNF_LIBTORCH   an unzipped libtorch, or the torch folder of a pip installation
#   2. $PYTHON         (default python3) the torch it would import; it is located, not imported
#   3. PREFIX          the distribution's libtorch-dev
#
# CXX and CXXFLAGS are honored; FNF_JOBS is the number of compilers at once (default 2).
# What not every run needs, NCCL and the stand-in device, is left out where it does not compile.
# Objects are named by the hash of all that went into them, so that only what changed is compiled
# again; shim.stamp beside the library holds what it was made from, and an equal stamp ends a second
# call at once. Library and objects are renamed into place: an interrupted build leaves none behind.
set -eu

shim=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=$shim/../../../build
system=/usr
print='' without=''

die() {
  echo "build.sh: $1" >&2
  exit "${2:-1}"
}

while [ $# -gt 0 ]; do
  case $1 in
    --print) print=yes ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    --system) system=${2:?--system needs a folder} && shift ;;
    --without) without="$without ${2:?--without needs nccl or standin}" && shift ;;
    *) die "unknown argument $1; usage: build.sh [--print] [--out DIR] [--system PREFIX] [--without FEATURE]" 2 ;;
  esac
  shift
done

# has_torch DIR: a libtorch zip or a pip torch folder with all that a build needs.
has_torch() {
  [ -f "$1/include/ATen/ATen.h" ] && [ -f "$1/lib/libtorch_cpu.so" ]
}

# python_torch prints the folder of python's torch. Importing it would take seconds.
python_torch() {
  "${PYTHON:-python3}" -c 'import importlib.util as u, os
s = u.find_spec("torch")
print(os.path.dirname(s.origin) if s and s.origin else "")' 2>/dev/null || true
}

# find_torch sets: from (who named it), home (its folder), include, lib.
find_torch() {
  if [ -n "${FNF_LIBTORCH:-}" ]; then
    from=FNF_LIBTORCH home=$(readlink -m "$FNF_LIBTORCH")
    has_torch "$home" || die "FNF_LIBTORCH=$FNF_LIBTORCH has no include/ATen/ATen.h with lib/libtorch_cpu.so: point it at an unzipped libtorch or at a pip torch folder"
  else
    from=${PYTHON:-python3} home=$(python_torch)
    # Debian's python3-torch only links to the system's libtorch, and lacks its headers of gloo.
    case $(readlink -f "$home/lib/libtorch_cpu.so") in "$system"/lib*) home= ;; esac
  fi
  if [ -n "$home" ] && has_torch "$home"; then
    include=$home/include lib=$home/lib
    return
  fi
  from=system home=$system include=$system/include
  for lib in "$system/lib/$(uname -m)-linux-gnu" "$system/lib64" "$system/lib"; do
    [ -f "$include/ATen/ATen.h" ] && [ -f "$lib/libtorch_cpu.so" ] && return
  done
  die "no libtorch found: run 'make setup', or 'pip install torch', or set FNF_LIBTORCH to an unzipped libtorch"
}

# torch_version prints for example 2.6.0 or 2.11.0+cu130.
torch_version() {
  if [ "$from" != system ] && [ -f "$home/version.py" ]; then
    sed -n "s/^__version__ = '\(.*\)'.*/\1/p" "$home/version.py"
  elif [ "$from" != system ] && [ -f "$home/build-version" ]; then
    cat "$home/build-version"
  else
    for header in "$include/torch/headeronly/version.h" "$api/torch/version.h"; do
      [ -f "$header" ] || continue
      awk '$2 ~ /^TORCH_VERSION_(MAJOR|MINOR|PATCH)$/ { v = v (v == "" ? "" : ".") $3 } END { print v }' "$header"
      return
    done
  fi
}

# first_dir_with FILE DIR...: the first folder that holds the file, or nothing.
first_dir_with() {
  file=$1
  shift
  for dir in "$@"; do
    if [ -f "$dir/$file" ]; then
      echo "$dir"
      return
    fi
  done
}

# find_features sets version, abi, and the flags that depend on what this libtorch was built with.
find_features() {
  api=$include/torch/csrc/api/include
  version=$(torch_version)
  case $version in
    0.* | 1.[0-9].* | 1.1[0-2].*) die "libtorch $version in $home is too old: 1.13 or newer is needed" ;;
    [0-9]*) ;;
    *) die "no version found in the libtorch of $home: reinstall it" ;;
  esac
  # Wheels before 2.6 were built with the old std::string. The name of c10::Error's constructor tells.
  abi=0
  if grep -qa '_ZN3c105ErrorC[12]ENS_14SourceLocationENSt7__cxx11' "$lib/libc10.so"; then abi=1; fi

  includes="-isystem \"$api\""
  # -isystem /usr/include would come before libstdc++'s own #include_next and break it.
  [ "$include" = /usr/include ] || includes="$includes -isystem \"$include\""
  defines="-D_GLIBCXX_USE_CXX11_ABI=$abi"
  libs="-L\"$lib\" -ltorch -ltorch_cpu -lc10"
  [ "$from" = system ] && [ "$system" = /usr ] || libs="$libs -Wl,-rpath,\"$lib\""
  cuda=no gloo=no nccl=no
  c10d=$include/torch/csrc/distributed/c10d
  # Wheels ship ProcessGroupGloo.hpp without the gloo headers that it includes.
  if [ -f "$include/gloo/context.h" ] && [ -f "$c10d/ProcessGroupGloo.hpp" ]; then
    gloo=yes defines="$defines -DUSE_C10D_GLOO"
  fi
  if [ -f "$lib/libtorch_cuda.so" ]; then
    cuda=yes
    # Nothing of ours names a symbol of these two; without them no CUDA kernel is registered.
    libs="$libs -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed"
    find_nccl
  fi
  # The stand-in device (standin/standin.h) needs libtorch's hooks for devices of one's own.
  standin=no
  case $version in
    1.* | 2.[0-8] | 2.[0-8].* | 2.[0-8]+*) ;;
    *) standin=yes ;;
  esac
}

# use_features sets the flags of what is to be compiled in; --without NAME leaves a feature out.
use_features() {
  case " $without " in *" nccl "*) nccl=failed ;; esac
  case " $without " in *" standin "*) standin=failed ;; esac
  if [ "$nccl" = yes ]; then use_nccl; fi
  if [ "$standin" = yes ]; then defines="$defines -DFNF_STAND_IN"; fi
  if [ -f "$c10d/TCPStore.hpp" ]; then defines="$defines -DUSE_DISTRIBUTED"; fi
}

# find_nccl looks beside a pip torch and in the usual places of a CUDA toolkit. Only the process group
# for several GPUs needs CUDA's headers; those of crt/ and nv/ are not among what a pip torch installs,
# but come with a toolkit or the packages nvidia-cuda-crt and nvidia-cuda-cccl.
find_nccl() {
  pip=$home/../nvidia toolkit=${CUDA_HOME:-/usr/local/cuda}/include
  cuda_include=$(first_dir_with cuda_runtime_api.h "$pip"/cu*/include "$pip/cuda_runtime/include" "$toolkit" /usr/include)
  crt_include=$(first_dir_with crt/host_config.h "$cuda_include" "$pip/cuda_nvcc/include" "$toolkit")
  nv_include=$(first_dir_with nv/target "$cuda_include" "$cuda_include/cccl" "$pip/cuda_cccl/include" "$toolkit" "$toolkit/cccl")
  nccl_include=$(first_dir_with nccl.h "$pip/nccl/include" "$toolkit" /usr/include)
  [ -f "$c10d/ProcessGroupNCCL.hpp" ] || return 0
  for dir in "$cuda_include" "$crt_include" "$nv_include" "$nccl_include"; do [ -n "$dir" ] || return 0; done
  nccl=yes
}

# use_nccl sets its flags.
use_nccl() {
  defines="$defines -DUSE_C10D_NCCL"
  for dir in "$cuda_include" "$crt_include" "$nv_include" "$nccl_include"; do
    case "$includes" in *"\"$dir\""*) continue ;; esac
    [ "$dir" = /usr/include ] || includes="$includes -isystem \"$dir\""
  done
}

# compile_failed builds without an optional feature where only that fails; else it ends with what the
# compiler said.
compile_failed() {
  lost=
  for feature in nccl:distributed standin:standin; do
    name=${feature%%:*}
    while read -r object source; do
      if [ -f "$out/shim/$object" ]; then continue; fi
      case $source in *"/${feature#*:}"*) ;; *) continue ;; esac
      case $name:$nccl:$standin in nccl:yes:* | standin:*:yes) lost="$lost $name" && break ;; esac
    done <"$work/objects"
  done
  if [ -z "$lost" ]; then
    cat "$work"/*.log >&2
    die "the shim does not compile against libtorch $version in $home (messages above)"
  fi
  {
    echo "$failed_key"
    for name in $lost $without; do echo "$name"; done
  } >"$failed_note"
  cat "$work"/*.log >"$out/shim/failed.log"
  echo "build.sh: $(echo "$lost" | sed 's/^ //') does not compile here (see $out/shim/failed.log): going on without" >&2
  rm -rf "$work"
  set -- --out "$out" --system "$system"
  for name in $lost $without; do set -- "$@" --without "$name"; done
  exec "$0" "$@"
}

hash() { sha256sum | cut -c 1-16; }

find_compiler() {
  for cxx in "${CXX:-}" g++ c++ clang++; do
    # CXX may hold a launcher and arguments: "ccache g++".
    if [ -n "$cxx" ] && command -v "${cxx%% *}" >/dev/null 2>&1; then return; fi
  done
  die "no C++ compiler found: install one ('make setup'; on Debian: apt-get install g++) or set CXX"
}

facts() {
  cat <<END
libtorch: $version
found by: $from
folder: $home
headers: $include
libraries: $lib
c++11 abi: $abi
cuda: $cuda
gloo: $gloo
nccl: $nccl
stand-in: $standin
compiler: $cxx $("${cxx%% *}" -dumpfullversion -dumpversion 2>/dev/null)
flags: $cxxflags
link: $libs
END
}

find_torch
find_features
find_compiler
# What failed before with the same libtorch and compiler fails again.
failed_note=$out/shim/failed
failed_key=$version@$home@$(cat "$shim"/*.cpp "$shim"/*.h "$shim"/standin/* | hash)
if [ -f "$failed_note" ] && [ "$(head -n 1 "$failed_note")" = "$failed_key" ]; then
  without="$without $(tail -n +2 "$failed_note" | tr '\n' ' ')"
fi
use_features
cxxflags="-std=c++20 -O3 -fno-math-errno -fno-trapping-math -fPIC -Wall -Wextra -Wno-stringop-overflow -Wno-maybe-uninitialized -Wno-unused-parameter -Wno-psabi $defines $includes ${CXXFLAGS:-}"
if [ -n "$print" ]; then
  facts
  exit
fi

{ mkdir -p "$out/shim" && out=$(cd -- "$out" && pwd) && work=$(mktemp -d "$out/shim/work.XXXXXX"); } 2>/dev/null ||
  die "cannot write to the folder $out: make it writable, or choose another with --out DIR"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# What every object depends on besides its own source.
base=$({
  facts
  stat -L -c '%s %Y' "$lib/libtorch_cpu.so" "$lib/libc10.so"
  cat "$shim"/*.h "$shim"/standin/*.h
} | hash)
stamp=$({
  facts
  echo "made from: $(cat "$shim"/*.cpp "$shim"/standin/*.cpp | hash) $base"
})
if [ -f "$out/libfnf_torch.so" ] && [ "$(cat "$out/shim.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

echo "compiling the shim for libtorch $version ($from: $home)" >&2
for source in "$shim"/*.cpp "$shim"/standin/*.cpp; do
  case $standin$source in failed*/standin/* | no*/standin/*) continue ;; esac
  echo "$(basename "$source" .cpp)-$({ echo "$base" && cat "$source"; } | hash).o $source"
done >"$work/objects"
while read -r object source; do
  if [ ! -f "$out/shim/$object" ]; then echo "$object $source"; fi
done <"$work/objects" >"$work/todo"

export cxx out work
echo "$cxxflags" >"$work/flags" # response files know quotes: a path may hold a space
echo "$libs" >"$work/libs"
# shellcheck disable=SC2016 # expanded by the inner shell
xargs -r -d '\n' -n 1 -P "${FNF_JOBS:-2}" sh -c '
  object=${1%% *} source=${1#* }
  $cxx @"$work/flags" -c "$source" -o "$work/$object" 2>"$work/$object.log" && mv "$work/$object" "$out/shim/$object"
' compile <"$work/todo" || compile_failed
cat "$work"/*.log >&2 2>/dev/null || true # warnings

cd "$out/shim"
set -- # the objects in use; others are of older sources or another libtorch
while read -r object source; do set -- "$@" "$object"; done <"$work/objects"
$cxx -shared -o "$work/libfnf_torch.so" "$@" @"$work/libs" ||
  die "the shim does not link with libtorch $version in $lib (messages above)"
for object in *.o; do
  case " $* " in *" $object "*) ;; *) rm -f "$object" ;; esac
done
rm -f "$out/shim.stamp"
mv "$work/libfnf_torch.so" "$out/libfnf_torch.so"
echo "$stamp" >"$work/stamp"
mv "$work/stamp" "$out/shim.stamp"
