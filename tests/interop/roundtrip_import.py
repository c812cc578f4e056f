"""Random models of transformers against Hinoki, both ways: roundtrip_import.py PROGRAM [COUNT [CONFIGS]]

Makes COUNT (60) tiny GPT-NeoX and GPT-2 models with every switch of random_models.py, saves them as transformers or older
versions of it do (whole or in shards, f32, f16 or bf16, with the buffers and names of old, a tied head stored twice, the
config of transformers 5), and compares `hinoki probe` (logits and every hidden state, within 1e-4 of the largest value) and
greedy `hinoki generate` with transformers. Then `hinoki import` or `export` writes each anew: transformers must load that with
no missing, unexpected or mismatched key and no setting changed, every weight bitwise the one that went in, and compute the
same bits. At last, what Hinoki would compute differently must be refused. Run it in the environment `models`. Exits 1 on any
difference, or if COUNT is too small to try every switch. CONFIGS: a new folder for every config.json, as it was read and as
Hinoki wrote it (check_configs.py)."""
import os
import shutil
import sys
import tempfile

import torch
from transformers import AutoConfig, AutoModelForCausalLM

import hinoki_program
from hinoki_program import Hinoki, edit_config, greedy_reference, run_card, stored, worst
from check_configs import different_settings
from random_models import Deck, describe, draw_gpt2, draw_neox, randomise
from refusals import refusals

TOLERANCE = 1e-4
NEW_TOKENS = 8
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def legacy_buffers(config, dtype, mask_dtype):
    """What GPT-NeoX checkpoints before transformers 4.30 and GPT-2's of old hold beside the weights."""
    neox, out = config.model_type == "gpt_neox", {}
    positions = config.max_position_embeddings
    for layer in range(config.num_hidden_layers):
        name = f"gpt_neox.layers.{layer}.attention" if neox else f"transformer.h.{layer}.attn"
        out[f"{name}.bias"] = torch.ones(positions, positions).tril().to(mask_dtype)[None, None]
        out[f"{name}.masked_bias"] = torch.tensor(-1e4, dtype=dtype)
        if neox:
            rotated = int(config.hidden_size // config.num_attention_heads * config.rotary_pct)
            out[f"{name}.rotary_emb.inv_freq"] = 1 / config.rotary_emb_base ** (torch.arange(0, rotated, 2) / rotated)
    return out


def say_rope_as_transformers_5(config):
    scaling = config.pop("rope_scaling", None) or {}
    config["rope_parameters"] = {"rope_type": scaling.pop("rope_type", scaling.pop("type", "default")),
                                 "rope_theta": config.pop("rotary_emb_base"),
                                 "partial_rotary_factor": config.pop("rotary_pct"), **scaling}
    config["dtype"] = config.pop("torch_dtype")
    for name in ("rope_theta", "partial_rotary_factor"):
        config.pop(name, None)


def save(model, folder, deck):
    """Saves a model in one of the forms that there are, and returns the form in words."""
    config, kind = model.config, model.config.model_type
    dtype = deck.draw(f"{kind} dtype", list(DTYPES))
    shards = deck.draw(f"{kind} shards", [False, True])
    legacy = deck.draw(f"{kind} legacy buffers", [None, None, torch.bool, torch.uint8, torch.float16])
    weights = dict(model.to(DTYPES[dtype]).state_dict())
    head = "embed_out.weight" if kind == "gpt_neox" else "lm_head.weight"
    said = [dtype]
    if config.tie_word_embeddings:
        if deck.draw(f"{kind} tied head", ["stored once", "stored twice"]) == "stored twice":
            weights[head] = weights[head].clone()
            said.append("head twice")
        else:
            del weights[head]
    if legacy:
        weights.update(legacy_buffers(config, DTYPES[dtype], legacy))
        said.append(f"{str(legacy)[6:]} masks")
    # A GPT2Model saves its names without the prefix, and so are the first GPT-2s stored.
    if kind == "gpt2" and head not in weights and deck.draw("gpt2 prefix", [True, False]) is False:
        weights = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
        said.append("no prefix")
    size = sum(weight.numel() * weight.element_size() for weight in weights.values())
    model.save_pretrained(folder, state_dict=weights, max_shard_size=size // 3 if shards else "5GB")
    files = sum(name.endswith(".safetensors") for name in os.listdir(folder))
    if shards:
        said.append(f"{files} shards")
    if set(stored(folder)) != set(weights):
        raise RuntimeError(f"transformers left out {sorted(set(weights) - set(stored(folder)))}")
    return said


def expected_weights(weights, config, dtype):
    """What `hinoki import` should have written of the stored tensors: no buffers, a tied head once, names in full."""
    out = {}
    for name, weight in weights.items():
        if name.endswith((".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")):
            continue
        if config.tie_word_embeddings and name in ("embed_out.weight", "lm_head.weight"):
            continue
        if config.model_type == "gpt2" and not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = weight.to(dtype or weight.dtype)
    return out


def different_weights(ours, theirs):
    yield from (f"{name} is {'missing' if name in theirs else 'too much'}" for name in sorted(set(ours) ^ set(theirs)))
    for name in sorted(set(ours) & set(theirs)):
        a, b = ours[name], theirs[name]
        if a.dtype != b.dtype or a.shape != b.shape:
            yield f"{name} is {a.dtype} {list(a.shape)} and not {b.dtype} {list(b.shape)}"
        elif not torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)):
            yield f"{name} has other bits"


def written(hinoki, model, ids, folder, deck, keep):
    """Complaints about what Hinoki writes of a folder, of which `model` is what transformers computes in f32."""
    verb, dtype = deck.draw("verb", ["import", "export"]), deck.draw("written as", [None, None, "f32", "bf16"])
    again = f"{folder}/again"
    hinoki.run(verb, folder, again, *(["--dtype", dtype] if dtype else []))
    loaded, info = AutoModelForCausalLM.from_pretrained(again, torch_dtype=torch.float32, output_loading_info=True)
    yield from (f"{kind}: {sorted(map(str, keys))[:5]}" for kind, keys in info.items() if keys)
    if type(loaded) is not type(model):
        yield f"became a {type(loaded).__name__}"
    expected = expected_weights(stored(folder), model.config, DTYPES.get(dtype))
    yield from different_weights(stored(again), expected)
    if keep:
        os.makedirs(keep)
        shutil.copy(f"{folder}/config.json", f"{keep}/theirs.json")
        shutil.copy(f"{again}/config.json", f"{keep}/ours.json")
    yield from different_settings(loaded.config, model.config)
    said = AutoConfig.from_pretrained(again).torch_dtype
    if said != next(iter(expected.values())).dtype:
        yield f"config.json says {said} of {next(iter(expected.values())).dtype}"
    if dtype == "bf16":
        for weight in model.parameters():
            weight.data = weight.data.bfloat16().float()
    with torch.no_grad():
        if not torch.equal(loaded.eval()(ids).logits, model(ids).logits):
            yield f"logits of what {verb} wrote differ by {worst(loaded(ids).logits, model(ids).logits):.1e}"
    if type(run_card(again)["model"]) is not type(model):
        yield "the model card loads something else"


def compare(hinoki, deck, keep):
    """(description, worst difference, complaints) of one random model."""
    kind, config = deck.draw("architecture", [draw_neox, draw_gpt2, draw_neox])(deck)
    model = kind(config).eval()
    randomise(model, deck.seed())
    with tempfile.TemporaryDirectory() as folder:
        said = save(model, folder, deck)
        # Both read what is stored, and compute in f32.
        model = kind.from_pretrained(folder, torch_dtype=torch.float32).eval()
        if config.model_type == "gpt_neox" and deck.draw("config.json of", [4, 4, 5]) == 5:
            edit_config(folder, say_rope_as_transformers_5)
            said.append("rope_parameters")
        ids = torch.randint(0, config.vocab_size, (2, deck.rng.randrange(1, 25)),
                            generator=torch.Generator().manual_seed(deck.seed()))
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        expected = {"logits": out.logits, **{f"hidden_states.{n}": s for n, s in enumerate(out.hidden_states)}}
        ours = hinoki.probe(folder, ids, tempfile.mkdtemp(dir=folder))
        missing = set(expected) - set(ours)
        difference = float("inf") if missing else max(worst(ours[key], value) for key, value in expected.items())
        complaints = [] if difference <= TOLERANCE else [f"probe differs by {difference:.1e}, and lacks {sorted(missing)}"]
        prompt = ids[0, :5].tolist()
        if hinoki.greedy(folder, prompt, NEW_TOKENS) != greedy_reference(model, prompt, NEW_TOKENS):
            complaints.append("greedy tokens differ")
        complaints += written(hinoki, model, ids, folder, deck, keep)
    return f"{describe(config)}, {' '.join(said)}", difference, complaints


def main():
    if len(sys.argv) not in (2, 3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    hinoki_program.quiet()
    hinoki, deck, wrong = Hinoki(sys.argv[1]), Deck(404), 0
    count, configs = int(sys.argv[2]) if len(sys.argv) > 2 else 60, sys.argv[3] if len(sys.argv) > 3 else None
    for number in range(count):
        try:
            text, difference, complaints = compare(hinoki, deck, configs and f"{configs}/{number}")
        except (RuntimeError, OSError, ValueError) as error:
            text, difference, complaints = "", float("inf"), [str(error)]
        wrong += bool(complaints)
        print(f"{'WRONG' if complaints else 'ok':5} {difference:9.1e} {text}")
        for complaint in complaints:
            print(f"      {complaint}")
    untried, accepted = deck.untried(), list(refusals(hinoki, Deck(405)))
    for complaint in [f"no model had {switch}" for switch in untried] + accepted:
        print(f"WRONG {complaint}")
    print(f"{count} models, {wrong} wrong; {len(untried)} switches not tried, {len(accepted)} refusals missing")
    return 1 if wrong or untried or accepted else 0


if __name__ == "__main__":
    sys.exit(main())
