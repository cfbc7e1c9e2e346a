#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test.
#
#   tests/run.sh            release build, all tests, 300 simulator seeds
#   tests/run.sh --full     the same, then ASan+UBSan and TSan builds of the unit and simulator tests,
#                           and 10,000 simulator seeds
set -euo pipefail
cd "$(dirname "$0")/.."

full=false
case "${1:-}" in
  "") ;;
  --full) full=true ;;
  -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "tests/run.sh: unknown option '$1'; use --full or nothing" >&2; exit 2 ;;
esac

jobs=$(nproc)
say() { printf '\n== %s (%s)\n' "$1" "$(date +%H:%M:%S)"; }

say "packages"
bash .ci/packages test

build() { # preset
  say "build: $1"
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -- -j "$jobs" --quiet
}

run_ctest() { # preset, further arguments
  local preset=$1
  shift
  say "tests: $preset"
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error --timeout 300 "$@"
}

build release
say "simulator: 300 seeds"
build/release/tests/sim/sim_main --seeds 1-300
run_ctest release

if $full; then
  for preset in asan tsan; do
    build "$preset"
    run_ctest "$preset" --label-exclude 'system|slow'
    say "simulator under $preset: 100 seeds"
    "build/$preset/tests/sim/sim_main" --seeds 1-100
  done
  say "simulator: 10000 seeds"
  build/release/tests/sim/sim_main --seeds 1-10000
fi
say "all green"
