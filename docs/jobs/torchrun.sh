#!/bin/sh
# Trains on all GPUs of one machine. From the folder that holds runs/:
#
#   sh torchrun.sh -p sd1-violence --set model.path=/models/sd15
#   sh torchrun.sh --resume NAME
#
# On several machines, run it on each with the same arguments and
#   NODES=4 NODE=0..3 MASTER=first-machine:29500
#
# torchrun must be that of the torch whose libtorch focusnfix uses: their store speaks the same protocol then.
set -eu
GPUS=${GPUS:-$(nvidia-smi -L | wc -l)}
MASTER=${MASTER:-127.0.0.1:29500}

exec torchrun --no-python --nnodes "${NODES:-1}" --node-rank "${NODE:-0}" --nproc-per-node "$GPUS" \
  --master-addr "${MASTER%:*}" --master-port "${MASTER#*:}" --max-restarts 0 \
  focusnfix train "$@"
