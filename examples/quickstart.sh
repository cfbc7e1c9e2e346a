#!/usr/bin/env bash
# From a fresh Debian 12 to a batch job's output: installs the packages, builds muster, starts a cluster of two
# nodes on this machine, and counts the words of every header file under /usr/include with a gang of four ranks.
# The cluster keeps running. Safe to run again: what is done already is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
started=$(date +%s)
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

say "1/4 packages"
bash .ci/packages run
echo "all there"

say "2/4 build (a first build takes some minutes)"
cmake --preset run >/dev/null
cmake --build --preset run -- -j "$(nproc)"
bin=$top/build/run/sched/muster
link=${HOME}/.local/bin
[ "$(id -u)" -eq 0 ] && link=/usr/local/bin
if mkdir -p "$link" 2>/dev/null && ln -sf "$bin" "$link/muster" 2>/dev/null && command -v muster >/dev/null; then
  muster=muster
  echo "muster is on PATH: $link/muster"
else
  muster=$bin
  echo "muster is at $bin"
fi

say "3/4 a cluster of two nodes"
"$bin" up --nodes 2 --cpus 4

say "4/4 count words: four ranks over two nodes, then add up"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$bin" run -n 4 -N 2 -J count-words -- sh "$top/examples/wordcount.sh" map /usr/include "$out"
echo
echo "the ten most frequent words:"
"$bin" run -J add-up -- sh "$top/examples/wordcount.sh" reduce "$out"

cat <<TXT

Done in $(( $(date +%s) - started )) s. The cluster is still running. Try next:

  $muster run -n 8 -- sh -c 'echo "rank \$MUSTER_RANK runs on cpus \$MUSTER_CPUS"'
  $muster submit -a 1-1000%8 -- /bin/true && $muster wait
  $muster queue

and when you have seen enough: $muster down
TXT
