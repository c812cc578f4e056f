"""Hinoki's adapters in Hugging Face's PEFT, and PEFT's in Hinoki: roundtrip_adapters.py PROGRAM FOLDER [COUNT]

FOLDER, a snapshot of a run with adapters, must open in transformers as it is, with the logits of `hinoki probe`. COUNT (12)
random models with random adapters of PEFT must give the same logits here, and so must what `hinoki export` merges of them.
Run it in the environment `models`. Exits 1 on any difference."""
import sys
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import hinoki_program
from hinoki_program import Hinoki, worst
from random_models import Deck, draw_gpt2, draw_neox, randomise

TOLERANCE = 1e-4
TARGETS = {"gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"], "gpt2": ["c_attn", "c_proj", "c_fc"]}


def some_ids(config):
    return torch.randint(0, config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(5))


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


def check_ours(hinoki, folder):
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    adapted = [name for name, _ in model.named_parameters() if ".lora_" in name]
    ids = some_ids(model.config)
    with tempfile.TemporaryDirectory() as scratch:
        difference = worst(hinoki.probe(folder, ids, scratch)["logits"], logits(model, ids))
    for name, weight in model.named_parameters():
        if ".lora_B" in name:
            weight.data.zero_()
    with tempfile.TemporaryDirectory() as scratch:
        learned = worst(hinoki.probe(folder, ids, scratch)["logits"], logits(model, ids))
    print(f"{folder}: {len(adapted)} adapter matrices in PEFT, worst difference {difference:.1e}, without them {learned:.1e}")
    return bool(adapted) and difference <= TOLERANCE < learned


def check_theirs(hinoki, deck):
    kind, config = deck.draw("architecture", [draw_neox, draw_gpt2])(deck)
    model = kind(config).eval()
    randomise(model, deck.seed())
    targets = TARGETS[config.model_type]
    targets = deck.rng.sample(targets, deck.draw(f"{config.model_type} targets", range(1, len(targets) + 1)))
    settings = LoraConfig(r=deck.draw("r", [1, 4, 7]), lora_alpha=deck.draw("alpha", [1, 8, 32]), target_modules=targets,
                          use_rslora=deck.draw("rslora", [False, True, False]),
                          fan_in_fan_out=config.model_type == "gpt2", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder:
        base, adapters, merged = f"{folder}/base", f"{folder}/adapters", f"{folder}/merged"
        model.save_pretrained(base)
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings).eval()
        for name, weight in adapted.named_parameters():
            if ".lora_" in name:
                weight.data.normal_(0, 0.2, generator=torch.Generator().manual_seed(deck.seed()))
        adapted.save_pretrained(adapters)
        ids = some_ids(config)
        theirs = logits(adapted, ids)
        learned = worst(logits(model, ids), theirs)
        ours = hinoki.probe(adapters, ids, folder)["logits"]
        hinoki.run("export", adapters, merged)
        whole = logits(AutoModelForCausalLM.from_pretrained(merged).eval(), ids)
    difference = max(worst(ours, theirs), worst(whole, theirs))
    print(f"{config.model_type} r {settings.r} alpha {settings.lora_alpha}{' rslora' if settings.use_rslora else ''} "
          f"{','.join(sorted(targets))}: {difference:.1e}, without them {learned:.1e}")
    return difference <= TOLERANCE < learned


def main():
    program, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 12
    hinoki_program.quiet()
    hinoki, deck = Hinoki(program), Deck(3)
    good = [check_ours(hinoki, folder)] + [check_theirs(hinoki, deck) for _ in range(count)]
    print(f"adapters: {len(good)} compared, {good.count(False)} differ")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
