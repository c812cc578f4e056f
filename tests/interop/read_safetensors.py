#!/usr/bin/env python3
"""Reads a folder's safetensors files with the Python package: every tensor, and the bytes of each against a plain reading
of the file; of a sharded model also the index.

  read_safetensors.py FOLDER...        needs: pip install safetensors torch
"""
import json
import pathlib
import struct
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file


def check_file(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data = raw[8 + length :]
    assert (8 + length) % 8 == 0, f"{path}: the data is not aligned to 8 bytes"
    metadata = header.pop("__metadata__", None)
    with safe_open(path, framework="pt") as opened:
        assert opened.metadata() == metadata, f"{path}: metadata differs"
        assert metadata and metadata.get("format") == "pt", f"{path}: has no format"
        assert set(opened.keys()) == set(header), f"{path}: names differ"
        shapes = {name: opened.get_slice(name).get_shape() for name in header}
    for name, entry in header.items():
        assert shapes[name] == entry["shape"], f"{path}: {name}: shape {shapes[name]}"
    for name, tensor in load_file(path).items():
        begin, end = header[name]["data_offsets"]
        assert bytes(tensor.flatten().view(torch.uint8).numpy()) == data[begin:end], f"{path}: {name}: bytes differ"
    return set(header), sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values())


def main():
    for folder in map(pathlib.Path, sys.argv[1:]):
        files = {path: check_file(path) for path in sorted(folder.glob("*.safetensors"))}
        assert files, f"{folder}: no safetensors files"
        for index_path in folder.glob("*.safetensors.index.json"):
            index = json.loads(index_path.read_text())
            shards = {path.name: found for path, found in files.items() if path.name in index["weight_map"].values()}
            for name, shard in index["weight_map"].items():
                assert name in shards[shard][0], f"{index_path}: {name} is not in {shard}"
            assert sum(len(names) for names, _ in shards.values()) == len(index["weight_map"])
            assert sum(size for _, size in shards.values()) == index["metadata"]["total_size"]
        tensors = sum(len(names) for names, _ in files.values())
        print(f"{folder}: {len(files)} files, {tensors} tensors read by the safetensors package")


if __name__ == "__main__":
    main()
