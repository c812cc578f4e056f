#!/usr/bin/env python3
"""Reads a run's TensorBoard events with TensorBoard's own reader and compares them with its metrics.jsonl and samples.

  read_events.py RUN_FOLDER

Needs TensorBoard, of whose dependencies three are enough:
  pip install --no-deps tensorboard numpy protobuf absl-py
"""
import json
import math
import pathlib
import struct
import sys
import tomllib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def to_f32(value):
    if isinstance(value, str):
        value = float(value)
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def equal(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def main():
    run = pathlib.Path(sys.argv[1])
    events = sorted(run.rglob("events.out.tfevents.*"))
    assert events, f"{run}: no event files"
    reader = EventAccumulator(str(events[0].parent), size_guidance={"tensors": 0, "scalars": 0})
    reader.Reload()
    truth = {}
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for key, value in record.items():
            truth.setdefault(key, {})[record["step"]] = value

    scalars, missing = 0, {(key, step) for key, series in truth.items() if key != "step" for step in series}
    texts = {}  # by step and number
    tags = reader.Tags()
    for tag in tags["scalars"] + tags["tensors"]:
        if tag in tags["tensors"]:
            series = reader.Tensors(tag)
            plugin = reader.SummaryMetadata(tag).plugin_data.plugin_name
        else:
            series, plugin = reader.Scalars(tag), "scalars"
        steps = [event.step for event in series]
        assert steps == sorted(set(steps)), f"{tag}: steps {steps} are not rising"
        for event in series:
            if plugin == "text":
                family, number = tag.split("/")
                assert family == "sample", f"{tag} is no sample"
                texts.setdefault(event.step, {})[int(number)] = event.tensor_proto.string_val[0].decode("utf-8")
                continue
            value = event.value if hasattr(event, "value") else event.tensor_proto.float_val[0]
            expected = truth.get(tag, {}).get(event.step)
            assert expected is not None, f"{tag} at step {event.step} is not in metrics.jsonl"
            assert equal(value, to_f32(expected)), f"{tag} at step {event.step}: {value}, metrics.jsonl has {expected}"
            scalars += 1
            missing.discard((tag, event.step))
    assert scalars, "no scalars"
    assert not missing, f"not in TensorBoard: {sorted(missing)[:5]}"

    prompts = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["samples"]["prompts"]
    files = {int(path.stem.removeprefix("step-")): path for path in (run / "samples").glob("step-*.txt")}
    assert prompts and files, "the run wrote no samples"
    assert texts.keys() == files.keys(), f"texts at steps {sorted(texts)}, samples at steps {sorted(files)}"
    for step, path in files.items():
        numbers = sorted(texts[step])
        assert numbers == list(range(len(prompts))), f"step {step}: texts {numbers} of {len(prompts)} prompts"
        written = "".join(texts[step][number] + "\n\n" for number in numbers)
        assert written == path.read_bytes().decode("utf-8"), f"step {step}: the texts are not those of {path}"
    print(f"{len(events)} event files: {scalars} scalars equal to metrics.jsonl, {len(files) * len(prompts)} texts equal "
          "to samples/, no step twice")


if __name__ == "__main__":
    main()
