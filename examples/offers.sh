#!/usr/bin/env bash
# The textbook's example of resource offers, on real daemons: starts a master and node1 (4 cpus, 4096 MB) in a
# temporary folder, plays two frameworks against them (offers.cpp) and says what each is offered. Exit code 0: every
# step came out exactly as expected. Ends all it started, also after Ctrl-C. Takes about 10 s.
#
#   examples/offers.sh        binaries of build/run or build/release, or of the build folder MUSTER_BIN_DIR
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

bin=
for folder in ${MUSTER_BIN_DIR:+"$MUSTER_BIN_DIR"} "$top/build/run" "$top/build/release"; do
  if [ -x "$folder/master/muster-master" ] && [ -x "$folder/node/muster-node" ]; then
    bin=$folder
    break
  fi
done
if [ -z "$bin" ]; then
  echo "offers.sh: muster is not built (looked in ${MUSTER_BIN_DIR:+$MUSTER_BIN_DIR, }build/run and build/release);" \
       "run examples/quickstart.sh first" >&2
  exit 1
fi
if [ ! -x "$bin/examples/offers" ]; then  # what only runs muster is built without the examples
  echo "building $bin/examples/offers, once"
  if ! { cmake -S "$top" -B "$bin" -DMUSTER_BUILD_EXAMPLES=ON && cmake --build "$bin" --target offers; } >"$bin/offers.log" 2>&1; then
    tail -n 20 "$bin/offers.log" >&2
    echo "offers.sh: building offers failed; see $bin/offers.log" >&2
    exit 1
  fi
fi

dir=$(mktemp -d /tmp/muster-offers.XXXXXX) || exit 1
pids=()

# shellcheck disable=SC2317  # called by trap
# Newest first: the program, the node (which ends its tasks and its launcher), the master.
clean_up() {
  trap '' INT TERM HUP
  local i pid tries left
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    pid=${pids[i]}
    kill -TERM "$pid" 2>/dev/null
    for ((tries = 0; tries < 100; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    ((tries == 100)) && kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  # The launcher may need a moment more; after a killed node it and its tasks stay. Ours by the folder they name.
  for ((tries = 0; tries < 100; tries++)); do
    left=$(grep -lsFf <(echo "$dir/") /proc/[0-9]*/cmdline | xargs -r grep -lse muster-launcher -e 'until .*sleep' | cut -d/ -f3)
    [ -n "$left" ] || break
    # shellcheck disable=SC2086  # a list of numbers
    ((tries >= 20)) && kill -KILL $left 2>/dev/null
    sleep 0.05
  done
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --settle 0: in a new folder there is nobody to wait for.
"$bin/master/muster-master" --dir "$dir" --http off --settle 0 --log "$dir/master.log" 2>"$dir/master.err" </dev/null &
pids+=($!)
"$bin/node/muster-node" --dir "$dir" --name node1 --cpus 4 --memory 4096 --ports 31000-31010 --log "$dir/node1.log" \
  2>"$dir/node1.err" </dev/null &
pids+=($!)
echo "a master and node1 run in $dir"
"$bin/examples/offers" "$dir" </dev/null &
player=$!
pids+=("$player")

wait "$player"
code=$?
unset 'pids[-1]'
if [ "$code" -ne 0 ]; then
  for file in "$dir"/*.err "$dir"/*.log; do
    [ -s "$file" ] && { echo "--- ${file##*/}"; tail -n 10 "$file"; } >&2
  done
fi
exit "$code"
