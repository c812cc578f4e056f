"""Hinoki's snapshots and exports in transformers: roundtrip_export.py PROGRAM FOLDER...

Each FOLDER must load with no missing, no unexpected and no mismatched key, and give the logits of `hinoki probe` within 1e-4
of the largest, the same hidden states, and the same greedy tokens; and what its model card tells to do must work. Run it in the
environment `models`. Exits 1 on any difference."""
import json
import os
import sys
import tempfile

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

import hinoki_program
from hinoki_program import Hinoki, greedy_reference, run_card, worst

TOLERANCE = 1e-4
NEW_TOKENS = 8


def load(folder):
    """(model, complaints) of a folder."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, output_loading_info=True)
    complaints = [f"{kind}: {sorted(map(str, keys))[:5]}" for kind, keys in info.items() if keys]
    if os.path.exists(f"{folder}/generation_config.json"):
        GenerationConfig.from_pretrained(folder)
    return model.eval(), complaints


def special_ids(folder):
    """Complaints about token ids on which config.json and the tokenizer's files disagree."""
    if not os.path.exists(f"{folder}/tokenizer.json"):
        return []
    with open(f"{folder}/tokenizer.json", encoding="utf-8") as file:
        ids = {token["content"]: token["id"] for token in json.load(file)["added_tokens"]}
    with open(f"{folder}/tokenizer_config.json", encoding="utf-8") as file:
        names = json.load(file)
    config = AutoConfig.from_pretrained(folder)
    return [f"{name}: config.json says {getattr(config, name + '_token_id')}, the tokenizer {ids.get(names[name + '_token'])}"
            for name in ("bos", "eos") if getattr(config, name + "_token_id", None) != ids.get(names.get(name + "_token"))]


def check(hinoki, folder):
    """Prints a line and returns whether all is well."""
    model, complaints = load(folder)
    complaints += special_ids(folder)
    config = model.config
    length = min(32, getattr(config, "max_position_embeddings", 32) - NEW_TOKENS)
    ids = torch.randint(0, config.vocab_size, (2, length), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        out = model(ids, output_hidden_states=True)
    with tempfile.TemporaryDirectory() as scratch:
        ours = hinoki.probe(folder, ids, scratch)
    expected = {"logits": out.logits, **{f"hidden_states.{n}": s for n, s in enumerate(out.hidden_states)}}
    missing = sorted(set(expected) - set(ours))
    if missing:
        complaints.append(f"probe does not write {missing}")
    difference = max(worst(ours[key], value) for key, value in expected.items() if key in ours)
    if not difference <= TOLERANCE:
        complaints.append(f"values differ by {difference:.1e}")
    prompt = ids[0, :5].tolist()
    if hinoki.greedy(folder, prompt, NEW_TOKENS) != greedy_reference(model, prompt, NEW_TOKENS):
        complaints.append("greedy tokens differ")
    done = run_card(folder)
    if type(done["model"]) is not type(model) or done["ids"].shape[1] < 2:
        complaints.append(f"the model card loads a {type(done['model']).__name__} and encodes {done['ids'].tolist()}")
    print(f"{'WRONG' if complaints else 'ok':5} {difference:9.1e} {config.model_type} {folder}")
    for complaint in complaints:
        print(f"      {complaint}")
    return not complaints


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    hinoki_program.quiet()
    hinoki = Hinoki(sys.argv[1])
    return 0 if all([check(hinoki, folder.rstrip("/")) for folder in sys.argv[2:]]) else 1


if __name__ == "__main__":
    sys.exit(main())
