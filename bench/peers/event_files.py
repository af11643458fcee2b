"""Opens the TensorBoard files of a run as TensorBoard does, and compares them with the run's events.

    pip install tensorboard==2.21.0
    focusnfix train -p violence --steps 12 --tensorboard --run RUN
    python3 bench/peers/event_files.py RUN

Without a run it prints the bytes that core/run/tensorboard_test.go expects.
"""

import io
import json
import math
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

TAGS = {
    "train/loss": "loss",
    "train/reward": "reward",
    "train/region": "region",
    "train/outside_psnr": "outside_psnr",
    "train/grad_norm": "grad_norm",
    "train/learning_rate": "learning_rate",
    "seconds/step": "step_seconds",
}


def golden():
    """Two records with the time and step of the test, as tensorboard's own writer has them."""
    out = io.BytesIO()
    out.close, writer = lambda: None, RecordWriter(out)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    values = [summary_pb2.Summary.Value(tag=tag, simple_value=v) for tag, v in (("a", 0.5), ("b/ö", -3.0))]
    for event in (
        event_pb2.Event(wall_time=1700000000.25, step=300, session_log=start),
        event_pb2.Event(wall_time=1700000000.25, step=7, summary=summary_pb2.Summary(value=values)),
    ):
        writer.write(event.SerializeToString())
    print(out.getvalue().hex())


def compare(run):
    found = event_accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    steps = {}
    for line in open(run / "events.jsonl"):
        event = json.loads(line)
        if event["kind"] == "step":
            steps[event["step"]] = event["train"]  # the later one counts
    for tag, key in TAGS.items():
        got = {e.step: e.value for e in found.Scalars(tag)}
        want = {step: train[key] for step, train in steps.items() if key in train}
        if got.keys() != want.keys():
            sys.exit(f"{tag}: steps {sorted(got)}, want {sorted(want)}")
        for step, value in want.items():
            if not math.isclose(got[step], value, rel_tol=1e-6):
                sys.exit(f"{tag}: {got[step]} at step {step}, want {value}")
    print(f"{len(found.Tags()['scalars'])} tags, {len(steps)} steps: equal to events.jsonl")


if len(sys.argv) == 2:
    compare(pathlib.Path(sys.argv[1]))
else:
    golden()
