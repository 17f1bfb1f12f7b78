"""Reads a run's event file with TensorBoard's own reader and compares it with metrics.jsonl.

    pip install tensorboard
    python Scripts/check-tensorboard.py RUN
"""

import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
expected = {}
for line in (run / "metrics.jsonl").read_text().splitlines():
    record = json.loads(line)
    for name, value in record["values"].items():
        single = struct.unpack("f", struct.pack("f", value))[0]
        points = expected.setdefault(f"{record['phase']}/{name}", [])
        points.append((record["step"], record["time"], single))

accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
accumulator.Reload()
found = {
    tag: [(event.step, event.wall_time, event.value) for event in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()["scalars"]
}
if found != expected:
    sys.exit("the event file and metrics.jsonl differ")
print(f"{len(found)} curves, {sum(map(len, found.values()))} points: equal")
