#!/bin/bash
#SBATCH --job-name={{name}}
#SBATCH --array=1-{{n_tasks}}{{at_once}}
#SBATCH --cpus-per-task={{cpus}}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={{folder}}/slurm/%A_%a.log
# Two minutes before the time limit, and before a preemption where the cluster sends user signals.
#SBATCH --signal=B:USR1@120
{{options}}
cd {{here}} || exit 5

# A task runs these lines of the list of trials, each at most once: the lock of its run folder decides.
last=$((SLURM_ARRAY_TASK_ID * {{pack}}))
first=$((last - {{pack}} + 1))
trials=$(sed -n "${first},${last}p" {{trials}})

# TERM comes from `scancel` and from a preemption, after which Slurm itself requeues the task or not.
limit=0
trap 'limit=1; kill -s TERM "$driver"' USR1
trap 'kill -s TERM "$driver"' TERM
{{program}} sweep run-task {{sweep}} --dir {{folder}} $trials &
driver=$!
while :; do # a trap interrupts `wait`
    wait "$driver"
    code=$?
    kill -s 0 "$driver" 2>/dev/null || break
done
# 75: stopped and saved. The same task continues from there, to the same bits.
if [ "$limit" = 1 ] && [ "$code" = 75 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" && sleep 60
fi
exit "$code"
