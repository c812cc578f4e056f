"""transformers reads a reward model as one, and gives the rewards of held-out pairs that training has noted:
check_reward.py RUN SNAPSHOT PAIRS      PAIRS: the folder of `hinoki data preferences`, whose whole validation split RUN measured
"""
import json
import subprocess
import sys
import tempfile
from array import array
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from hinoki_program import run_card

run, snapshot, pairs = (Path(p) for p in sys.argv[1:4])


def stored(dataset: str, code: str) -> array:
    """An array of the validation split, by HDF5's own tool."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["h5dump", "-d", dataset, "-b", "LE", "-o", out.name, str(pairs / "validation.h5")], check=True,
                       stdout=subprocess.DEVNULL)
        return array(code, Path(out.name).read_bytes())


model, told = AutoModelForSequenceClassification.from_pretrained(snapshot, output_loading_info=True)
for trouble in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    assert not told[trouble], (trouble, told[trouble])
assert type(model).__name__ == "GPTNeoXForSequenceClassification" and model.config.num_labels == 1
model.eval()

tokens, ends = stored("/tokens", "H"), stored("/example_ends", "q")
texts = [list(tokens[begin:end]) + [model.config.eos_token_id] for begin, end in zip([0, *ends], ends)]
with torch.no_grad():
    rewards = [model(torch.tensor([ids])).logits.double().item() for ids in texts]
    # Several in a batch: transformers looks for the last token that is no padding.
    some, longest = texts[:4], max(map(len, texts[:4]))
    padded = torch.tensor([ids + [model.config.pad_token_id] * (longest - len(ids)) for ids in some])
    together = model(padded, attention_mask=(padded != model.config.pad_token_id).long()).logits[:, 0].tolist()
for alone, one in zip(rewards, together):
    assert abs(alone - one) < 1e-3, (alone, one)

noted = {k: v for r in map(json.loads, open(run / "metrics.jsonl")) for k, v in r.items() if k.startswith("validation/")}
chosen, rejected = rewards[0::2], rewards[1::2]
count = len(chosen)
found = {"chosen": sum(chosen) / count, "rejected": sum(rejected) / count,
         "accuracies": sum(c > r for c, r in zip(chosen, rejected)) / count}
for name, value in found.items():
    ours = noted["validation/rewards/" + name]
    assert abs(value - ours) < (1.5 / count if name == "accuracies" else 1e-3), (name, value, ours)
assert len(set(round(r, 3) for r in rewards)) > count, "the rewards are all alike"
# What the model card tells to do.
done = run_card(snapshot)
assert type(done["model"]) is type(model) and len(done["ids"]) > 1, (done["model"], done["ids"])
print(f"interop: {count} pairs have in transformers the rewards that training noted "
      f"({found['chosen']:.4f} chosen, {found['rejected']:.4f} rejected, {100 * found['accuracies']:.1f} % in order)")
