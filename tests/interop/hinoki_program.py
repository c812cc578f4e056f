"""Runs the program for the comparisons of this folder, and reads what it writes."""
import contextlib
import io
import json
import os
import re
import subprocess

import safetensors.torch
import torch


class Hinoki:
    def __init__(self, program):
        self.program = os.path.abspath(program)

    def call(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments):
        done = self.call(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"hinoki {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def refusal(self, what, named, folder):
        """Complaints if `import` of a folder does not end as bad data, with what it must name, and nothing written."""
        done = self.call("import", folder, f"{folder}/again")
        if done.returncode != 3 or named not in done.stderr or os.path.exists(f"{folder}/again"):
            yield f"{what} is not refused for it: import ended with {done.returncode}: {done.stderr.strip()[-300:]}"

    def probe(self, model, ids, folder):
        """{"logits": ..., "hidden_states.N": ..., "losses": ...} for a batch of token ids."""
        with open(f"{folder}/ids.json", "w") as file:
            json.dump({"ids": ids.tolist()}, file)
        self.run("probe", model, "--input", f"{folder}/ids.json", "--output", f"{folder}/out.safetensors")
        return safetensors.torch.load_file(f"{folder}/out.safetensors")

    def greedy(self, model, ids, count):
        words = self.run("generate", model, "--ids", " ".join(map(str, ids)), "--max-tokens", count, "--temperature", 0,
                         "--output-ids")
        return [int(word) for word in words.split()]


def stored(folder):
    """Every tensor of a folder's safetensors files."""
    weights = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            weights.update(safetensors.torch.load_file(f"{folder}/{name}"))
    return weights


def edit_config(folder, change):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)


def run_card(folder, **given):
    """What the Python code of a folder's model card leaves, run as it stands there."""
    with open(f"{folder}/README.md", encoding="utf-8") as file:
        code = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    if len(code) != 1:
        raise RuntimeError(f"{folder}/README.md holds {len(code)} pieces of Python and not one")
    names = {"FOLDER": folder, **given}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code[0], names)
    return names


def quiet():
    """One thread, and no advice from transformers; Debian's PyTorch lacks a module that generate() asks for."""
    import transformers
    import transformers.generation.utils as generation
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    generation.is_fsdp_managed_module = lambda module: False


def greedy_reference(model, ids, count):
    """The new tokens that transformers' own generate() takes, the end of the text included if it comes."""
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                             max_new_tokens=count, num_beams=1, pad_token_id=0)
    return out[0, len(ids):].tolist()


def worst(ours, theirs):
    """The largest difference, as a share of the largest value."""
    if tuple(ours.shape) != tuple(theirs.shape):
        return float("inf")
    return ((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp(min=1e-30)).item()
