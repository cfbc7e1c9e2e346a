#!/bin/bash
# futex_count.sh: how many futex calls the threads of a master under full load make per million messages, counted from outside.
# Fails when a thread that handles messages (core, gateways) makes as many as the limit.
#
#   futex_count.sh [--threads shared|dedicated|both] [--nodes N] [--pattern packed|spread] [--seconds S]
#                  [--method perf|strace] [--limit N] [--bench DIR]
#
# perf counts in the kernel, by thread, and stops nobody: the default where it may (root, or a readable
# /sys/kernel/tracing). strace stops a thread at each futex call, and only there (--seccomp-bpf): slower where there are many, as
# right. Everything from the connecting of the nodes to the end of the master is counted.
set -u
threads=both nodes=10000 pattern=packed seconds=10 method="" limit=100
root=$(dirname "$(readlink -f "$0")")/..
bench=$root/build/release/bench
[ -d "$bench" ] || bench=$root/build/bench
die() { echo "futex_count.sh: $1" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case "$1" in
    --help|-h) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --threads|--nodes|--pattern|--seconds|--method|--limit|--bench)
      [ $# -ge 2 ] || die "$1 needs a value"
      declare "${1#--}=$2"; shift 2 ;;
    *) die "unknown argument '$1'; see --help" ;;
  esac
done
case "$threads" in shared|dedicated) modes=$threads ;; both) modes="shared dedicated" ;; *) die "--threads '$threads': shared, dedicated or both" ;; esac
[ -x "$bench/cluster_load" ] || die "no cluster_load in '$bench': build it (cmake --build --preset release), or name its folder by --bench"
master=$bench/../master/muster-master
[ -x "$master" ] || die "no muster-master at '$master': build it (cmake --build --preset release)"

perf_may() { perf stat -e syscalls:sys_enter_futex true >/dev/null 2>&1; }
strace_may() { strace -f --seccomp-bpf -Y -e trace=futex -o /dev/null true >/dev/null 2>&1; }
case "$method" in
  "") if perf_may; then method=perf; elif strace_may; then method=strace; else
        die "neither perf nor strace can count here: install one of them (Debian: linux-perf, strace), run as root for perf, or allow ptrace for strace"; fi ;;
  perf) perf_may || die "perf can't count syscalls:sys_enter_futex: install it (linux-perf) and run as root, with /sys/kernel/tracing mounted; or --method strace" ;;
  strace) strace_may || die "strace can't trace here: install it (5.15 or later), with ptrace allowed; or --method perf" ;;
  *) die "--method '$method': perf or strace" ;;
esac

work=$(mktemp -d) || die "no temporary folder can be made"
trap 'rm -rf "$work"' EXIT
number() { sed -n "s/^ *\"$1\": \([0-9.]*\).*/\1/p" "$work/load.json" | head -1; }

# Lines "thread<TAB>calls" in $work/calls.
run_perf() {
  "$bench/cluster_load" "$@" >"$work/load.json" &
  local load=$! pid=""
  # The threads that are counted are those that are there: wait for the last of them.
  for _ in $(seq 500); do
    pid=$(pgrep -P $load -x muster-master) && [ "$(cat /proc/"$pid"/task/*/comm 2>/dev/null | grep -c "^$last_thread")" -ge 1 ] && break
    sleep 0.01
  done
  if [ -n "$pid" ]; then
    perf stat -x '|' --per-thread -e syscalls:sys_enter_futex -p "$pid" -o "$work/perf" >/dev/null 2>&1
  fi
  wait $load || return 1
  # name-tid|calls|…; threads that never called are "<not counted>" or 0
  awk -F'|' '/futex/ { name = $1; sub(/-[0-9]+$/, "", name); sub(/^ +/, "", name); calls[name] += $2 }
             END { for (n in calls) printf "%s\t%d\n", n, calls[n] }' "$work/perf" >"$work/calls"
}
run_strace() {
  printf '#!/bin/bash\nexec strace -D -f --seccomp-bpf -qq -Y -e trace=futex -o "%s" "%s" "$@"\n' "$work/strace" "$master" >"$work/traced"
  chmod +x "$work/traced"
  "$bench/cluster_load" --master "$work/traced" "$@" >"$work/load.json" || return 1
  # 123<name> futex(…
  awk '/ futex\(/ { name = $0; sub(/^[0-9]+</, "", name); sub(/> +futex\(.*/, "", name); calls[name]++ }
       END { for (n in calls) printf "%s\t%d\n", n, calls[n] }' "$work/strace" >"$work/calls"
}

failed=0
for mode in $modes; do
  case $mode in shared) handles="^muster-master" last_thread="ZMQbg/IO" ;; dedicated) handles="^(core|gateway)" last_thread="core" ;; esac
  run_$method --json --no-bare --nodes "$nodes" --pattern "$pattern" --seconds "$seconds" --paced-seconds 0.1 \
    --master-argument=--threads=$mode || die "cluster_load failed (--threads $mode)"
  messages=$(number messages_in_all)
  echo "$mode threads, $pattern, $nodes nodes: $(number messages_per_second | cut -d. -f1) messages/s, $messages messages counted by $method"
  printf '  %-18s %10s %22s\n' thread 'futex calls' 'per million messages'
  sort "$work/calls" | awk -F'\t' -v m="$messages" -v handles="$handles" -v limit="$limit" '
    { per = $2 * 1e6 / m; mark = ""
      if ($1 ~ handles) { seen = 1; mark = per < limit ? "  handles messages: below " limit : "  handles messages: TOO MANY"; if (per >= limit) bad = 1 }
      printf "  %-18s %10d %22.2f%s\n", $1, $2, per, mark }
    END { if (!seen) print "  the threads that handle messages made none"; exit bad }' || failed=1
done
exit $failed
