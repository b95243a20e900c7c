# Sourced by the scripts of this folder: moves to the repository's root and defines how they build.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# build PRESET [TARGET …]: configures build/PRESET once (ninja sees later changes itself) and builds the targets, or all.
build() {
  local preset=$1
  shift
  local directory=build/$preset
  # A tree that was moved or copied keeps a cache of the old place, and CMake refuses it.
  if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$directory/CMakeCache.txt" 2>/dev/null ||
    [[ ! -e $directory/build.ninja ]]; then
    cmake --fresh --preset "$preset" || die "configuring the preset $preset failed"
  fi
  local targets=()
  if (($# > 0)); then targets=(--target "$@"); fi
  cmake --build "$directory" --parallel "$(nproc)" "${targets[@]}" || die "building the preset $preset failed"
}
