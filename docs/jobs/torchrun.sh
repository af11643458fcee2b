#!/bin/sh
# Trains on all GPUs of one machine. From the folder that holds runs/:
#
#   sh torchrun.sh -p sd1-violence --set model.path=/models/sd15
#   sh torchrun.sh --resume NAME
#
# On several machines, run it on each with the same arguments and
#   NODES=4 NODE=0..3 MASTER=first-machine:29500
#
# torchrun must be that of the torch whose libtorch focusnfix uses: their store speaks the same protocol then. That of
# torch 1.13 under Python 3.11 also needs "-r 1 -t 2" before the other options, as its defaults fail there.
set -eu
GPUS=${GPUS:-$(nvidia-smi -L | wc -l)}
MASTER=${MASTER:-127.0.0.1:29500}

# Underscores are what every torchrun takes; without "--" it would read our --run as its own.
exec torchrun --no_python --nnodes "${NODES:-1}" --node_rank "${NODE:-0}" --nproc_per_node "$GPUS" \
  --master_addr "${MASTER%:*}" --master_port "${MASTER#*:}" --max_restarts 0 \
  -- focusnfix train "$@"
