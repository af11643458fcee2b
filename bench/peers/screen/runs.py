#!/usr/bin/env python3
"""Writes the same run of eight metrics for both programs, or adds steps to it at a rate.

    runs.py ours FOLDER STEPS        adds to FOLDER/events.jsonl of a run folder; RATE instead of STEPS: 1000/s
    runs.py wandb FOLDER STEPS       writes an offline run of W&B below FOLDER; RATE: a run that is being written
"""
import datetime, json, math, os, sys, time

NAMES = ["loss", "reward", "region", "coverage", "inside_psnr", "outside_psnr", "grad_norm", "learning_rate"]


def values(i):
    return {name: round(math.sin(i / (1000.0 * (k + 1))) + k, 6) for k, name in enumerate(NAMES)}


def paced(amount):
    """Steps as fast as they go, or so many a second."""
    rate = float(amount[:-2]) if amount.endswith("/s") else 0
    begun, i = time.time(), 0
    while rate or i < int(amount):
        i += 1
        if rate and (wait := begun + i / rate - time.time()) > 0:
            time.sleep(wait)
        yield i


def ours(folder, amount):
    path = os.path.join(folder, "events.jsonl")
    step = 0
    if os.path.exists(path) and os.path.getsize(path):
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - 4096))
            step = json.loads(f.read().splitlines()[-1])["step"]
    with open(path, "a", buffering=1 if amount.endswith("/s") else 1 << 20) as f:
        for i in paced(amount):
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            f.write(json.dumps({"time": now, "kind": "step", "step": step + i, "train": values(step + i)}, separators=(",", ":")) + "\n")


def wandb_run(folder, amount):
    os.environ["WANDB_MODE"], os.environ["WANDB_SILENT"] = "offline", "true"
    import wandb

    run = wandb.init(project="p", dir=folder, settings=wandb.Settings(x_disable_stats=True, console="off"))
    for i in paced(amount):
        run.log(values(i))
    run.finish()


{"ours": ours, "wandb": wandb_run}[sys.argv[1]](sys.argv[2], sys.argv[3])
