# A Slurm of Debian's packages on the loopback interface: munged, slurmctld and real slurmds, one per node. Sourced by
# `slurm`, which sets: folder, port, and calls slurm_up NODES CPUS, slurm_down. Needs root.

slurm_missing() {
  local missing=() program
  for program in munged slurmctld-wlm slurmd-wlm slurmstepd-wlm; do
    [ -x /usr/sbin/$program ] || missing+=("$program")
  done
  for program in sbatch srun squeue scancel sinfo; do
    command -v $program > /dev/null || missing+=("$program")
  done
  echo "${missing[*]}"
}

# Daemons must not inherit our descriptors: they would hold locks and pipes open.
slurm_daemon() { ( for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done 2> /dev/null
                   exec "$@" < /dev/null >> "$folder/log/out" 2>&1 ); }

slurm_up() {
  local nodes=$1 cpus=$2 last=$(($1 - 1)) host node deadline
  host=$(hostname -s)
  mkdir -p "$folder"/{state,log,munge,run}
  chmod 755 "$folder"
  chmod 700 "$folder/munge"
  head -c 128 /dev/urandom > "$folder/munge/key"
  chmod 400 "$folder/munge/key"
  slurm_daemon /usr/sbin/munged --force --num-threads=10 --key-file="$folder/munge/key" --socket="$folder/run/munge.sock" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  # What makes it quick: no sleep between scheduling passes, a deep pass, several ports, no accounting, no task plugins,
  # process groups instead of cgroups. Found by trying; see docs/performance.md.
  cat > "$folder/slurm.conf" << CONF
ClusterName=compare
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock
CredType=cred/munge
SlurmctldPort=$port-$((port + 3))
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmctldDebug=error
StateSaveLocation=$folder/state
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmdLogFile=$folder/log/slurmd.%n.log
SlurmdDebug=error
SlurmdSpoolDir=$folder/run/spool.%n
SlurmdParameters=config_overrides
TmpFS=$folder/run/tmp.%n
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ReturnToService=2
MinJobAge=10
MessageTimeout=100
MaxJobCount=200000
MaxArraySize=100001
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ProctrackType=proctrack/pgid
PriorityType=priority/basic
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=NONE
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,default_queue_depth=1000,partition_job_depth=1000,max_rpc_cnt=150
NodeName=n[0-$last] NodeHostName=$host NodeAddr=127.0.0.1 Port=[$((port + 100))-$((port + 100 + last))] CPUs=$cpus Sockets=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=1000000 State=UNKNOWN
PartitionName=main Nodes=n[0-$last] Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  export SLURM_CONF=$folder/slurm.conf
  # The programs by their full names: the emulator package would put others behind the short ones.
  slurm_daemon /usr/sbin/slurmctld-wlm -c -f "$SLURM_CONF"
  for node in $(seq 0 $last); do
    mkdir -p "$folder/run/spool.n$node" "$folder/run/tmp.n$node"
    slurm_daemon /usr/sbin/slurmd-wlm -c -f "$SLURM_CONF" -N "n$node" -d /usr/sbin/slurmstepd-wlm
  done
  deadline=$((SECONDS + 60))
  while [ "$(sinfo -h -N -t idle -o %N 2> /dev/null | wc -l)" != "$nodes" ]; do
    if [ $SECONDS -ge $deadline ]; then
      echo "slurm: its nodes are not idle after 60 s; its logs:" >&2
      tail -n 5 "$folder"/log/* >&2
      return 1
    fi
    sleep 0.1
  done
}

# By the pid files of daemons that we started.
slurm_down() {
  local file pid pids=() deadline=$((SECONDS + 15))
  [ -f "$folder/slurm.conf" ] || return 0
  timeout 10 scancel -u "$(id -un)" 2> /dev/null
  for file in "$folder"/run/slurmctld.pid "$folder"/run/slurmd.*.pid "$folder"/run/munged.pid; do
    if [ -s "$file" ] && read -r pid < "$file" && kill "$pid" 2> /dev/null; then
      pids+=("$pid")
    fi
  done
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2> /dev/null; do
      [ $SECONDS -ge $deadline ] && kill -9 "$pid" 2> /dev/null
      sleep 0.05
    done
  done
}
