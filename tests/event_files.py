#!/usr/bin/env python3
"""Reads a run's event files back with TensorBoard's own package and compares them with metrics.jsonl.

    pip install tensorboard
    python tests/event_files.py RUN

Ends with an error if a number is missing, there twice, or another one.
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {
    "step": {"batch/loss": "loss", "batch/accuracy": "accuracy", "batch/lr": "lr", "batch/grad_norm": "grad_norm",
             "batch/loss_scale": "loss_scale"},
    "epoch": {
        "epoch/train_loss": "train_loss",
        "epoch/train_accuracy": "train_accuracy",
        "epoch/val_loss": "val_loss",
        "epoch/val_accuracy": "val_accuracy",
        "speed/images_per_second": "images_per_second",
    },
}


def f32(value):
    """Event files hold f32."""
    return struct.unpack("f", struct.pack("f", value))[0]


def main(run):
    expected = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        for tag, key in TAGS[line["kind"]].items():
            if line.get(key) is not None:
                expected.setdefault(tag, []).append((line["step"], f32(line[key])))
    # 0: keep all events, not a sample of them.
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found.keys() == expected.keys(), f"tags {sorted(found)} instead of {sorted(expected)}"
    for tag, points in expected.items():
        assert found[tag] == points, f"{tag}: {found[tag]} instead of {points}"
    print(f"{run}: {sum(map(len, expected.values()))} numbers under {len(expected)} tags agree with metrics.jsonl")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
