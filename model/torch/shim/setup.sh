#!/bin/sh
# Installs what the shim needs where apt-get is at hand: libtorch if none is found, a C++ compiler,
# and OpenBLAS for the distribution's libtorch (the reference BLAS is 15 times slower). It prints
# each command before running it, how far it got, and how long it took, and asks first where it needs
# sudo. With nothing missing it says nothing; without apt-get it leaves it to build.sh to say what is missing. Arguments go to build.sh.
set -eu

shim=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

die() {
  echo "setup.sh: $1" >&2
  exit 1
}

fast_blas() {
  for blas in /usr/lib/*/libblas.so.3; do
    case $(readlink -f "$blas") in *openblas* | *mkl* | *blis*) return 0 ;; esac
  done
  return 1
}

# missing prints the Debian packages to install.
missing() {
  # Whether there is a compiler is asked below; any command passes for one here.
  if found=$(CXX=true "$shim/build.sh" --print "$@" 2>/dev/null); then
    case $found in *"found by: system"*)
      fast_blas || echo libopenblas0-openmp
      case $found in *"gloo: no"*) echo libgloo-dev ;; esac
      ;;
    esac
  elif [ -z "${FNF_LIBTORCH:-}" ]; then
    printf '%s\n' libtorch-dev libopenblas0-openmp libgloo-dev
  fi
  for cxx in "${CXX:-}" g++ c++ clang++; do
    if [ -n "$cxx" ] && command -v "${cxx%% *}" >/dev/null 2>&1; then return; fi
  done
  echo g++
}

as_root() {
  echo "+ ${sudo:+$sudo }$*" >&2
  $sudo "$@"
}

# progress makes of apt-get's many lines what it downloads, and every tenth of the packages. It fails
# where its input ends in the word failed.
progress() {
  awk '
    / newly installed/ { for (i = 2; i <= NF; i++) if ($i == "newly") total = $(i - 1) }
    /^Need to get/ || /^After this operation/ { print "  " $0 }
    /^Unpacking / { n++ }
    /^Setting up / { m++ }
    /^(Unpacking|Setting up) / && total > 9 && int(10 * (n + m) / (2 * total)) > tenth {
      tenth = int(10 * (n + m) / (2 * total))
      print "  unpacked " n + 0 ", set up " m + 0 " of " total " packages"
    }
    { fflush() }
    END { exit $0 == "failed" }
  ' >&2
}

install() {
  began=$(date +%s)
  # shellcheck disable=SC2086 # packages are words
  { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages || echo failed; } |
    progress && echo "installed in $(($(date +%s) - began)) s" >&2
}

packages=$(missing "$@" | tr '\n' ' ')
if [ -z "$packages" ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi
by_hand="run 'apt-get install --no-install-recommends ${packages% }' as root, or set FNF_LIBTORCH to an unzipped libtorch"
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || die "not root and no sudo: $by_hand"
  sudo="sudo"
  if [ -t 0 ]; then
    printf 'install %swith sudo? [Y/n] ' "$packages" >&2
    read -r answer
    case $answer in [nN]*) die "nothing installed: $by_hand" ;; esac
  fi
fi
case $packages in *libtorch*) size=", 1 GB with all that libtorch needs: about a minute" ;; *) size= ;; esac
echo "installing ${packages% } (once$size)" >&2
# First with the package lists that are there; they may be missing, or too old to download from.
if apt-cache show libtorch-dev >/dev/null 2>&1 && install; then exit 0; fi
if as_root apt-get update -qq && install; then exit 0; fi
die "apt-get failed (messages above): $by_hand"
