"""HuBERTs of transformers against Hinoki, both ways: roundtrip_hubert.py PROGRAM [COUNT]

Makes COUNT (24) tiny models, HubertModel and HubertForCTC, with every switch, saves them whole or in shards
as f32, f16 or bf16, under either spelling of the weight norm's names, and compares the features, every hidden state and the
logits of `hinoki probe` with transformers, within 1e-4 of the largest value. A layer-norm model also hears a padded batch.
Then `hinoki import` writes each anew: transformers must load that with no missing, unexpected or mismatched key and compute
the same. Run it in the environment `models`. Exits 1 on any difference."""
import os
import sys
import tempfile

import safetensors.torch
import torch
import transformers.models.hubert.modeling_hubert as modeling
from transformers import AutoModel, AutoModelForCTC, HubertConfig, HubertForCTC, HubertModel, Wav2Vec2FeatureExtractor

import hinoki_program
from hinoki_program import Hinoki, run_card, worst
from random_models import ACTIVATIONS, Deck

TOLERANCE = 1e-4
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
SPELLINGS = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


def draw(deck):
    """(class, config) of a model."""
    heads, head = deck.draw("heads", [1, 2, 3]), deck.draw("head size", [8, 12])
    convs = deck.draw("convs", [7, 2, 7, 3, 7, 4])
    return deck.draw("class", [HubertModel, HubertForCTC]), HubertConfig(
        vocab_size=deck.draw("vocabulary", [13, 32]), hidden_size=heads * head,
        num_hidden_layers=deck.draw("layers", [0, 1, 2, 3]), num_attention_heads=heads,
        intermediate_size=deck.draw("intermediate_size", [20, 48]), hidden_act=deck.draw("hidden_act", ACTIVATIONS),
        conv_dim=[deck.draw("conv_dim", [4, 6, 8, 16]) for _ in range(convs)], conv_kernel=[10, 3, 3, 3, 3, 2, 2][:convs],
        conv_stride=[5, 2, 2, 2, 2, 2, 2][:convs], conv_bias=deck.draw("conv_bias", [True, False]),
        feat_extract_norm=deck.draw("feat_extract_norm", ["layer", "group"]),
        feat_proj_layer_norm=deck.draw("feat_proj_layer_norm", [True, True, False]),
        do_stable_layer_norm=deck.draw("do_stable_layer_norm", [True, False]),
        num_conv_pos_embeddings=deck.draw("num_conv_pos_embeddings", [3, 4, 7, 16]),
        num_conv_pos_embedding_groups=deck.draw("num_conv_pos_embedding_groups", [1, 2, 4]),
        layer_norm_eps=deck.draw("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        mask_time_prob=deck.draw("mask_time_prob", [0.0, 0.05]), mask_feature_prob=deck.draw("mask_feature_prob", [0.0, 0.02]))


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "layer_norm.weight" in name or name.endswith("weight_g"):
                weight.copy_(1 + 0.2 * noise)
            else:
                weight.copy_(0.1 * noise if weight.dim() == 1 else 1.5 * weight[0].numel() ** -0.5 * noise)


def respell(folder):
    """Gives the weight norm the names that a newer PyTorch saves."""
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            path = f"{folder}/{name}"
            weights = safetensors.torch.load_file(path)
            for old, new in SPELLINGS.items():
                weights = {key.replace(old, new): value for key, value in weights.items()}
            safetensors.torch.save_file(weights, path, metadata={"format": "pt"})
    index = f"{folder}/model.safetensors.index.json"
    if os.path.exists(index):
        with open(index) as file:
            text = file.read()
        for old, new in SPELLINGS.items():
            text = text.replace(old, new)
        with open(index, "w") as file:
            file.write(text)


def hear(model, samples, lengths):
    """What transformers computes, and which frames of it count [batch, frames]."""
    hubert = model.hubert if hasattr(model, "hubert") else model
    mask = None if lengths is None else (torch.arange(samples.shape[1])[None] < lengths[:, None]).long()
    with torch.no_grad():
        out = model(samples, attention_mask=mask, output_hidden_states=True)
        values = {"features": hubert.feature_extractor(samples).transpose(1, 2)}
    values.update({f"hidden_states.{n}": state for n, state in enumerate(out.hidden_states)})
    if hasattr(out, "logits"):
        values["logits"] = out.logits
    frames = values["features"].shape[1]
    real = torch.full((len(samples),), frames)
    if lengths is not None:
        real = hubert._get_feat_extract_output_lengths(lengths)
    return values, torch.arange(frames)[None] < real[:, None]


def probe(hinoki, folder, samples, lengths):
    with tempfile.TemporaryDirectory() as scratch:
        inputs = {"samples": samples} if lengths is None else {"samples": samples, "lengths": lengths.int()}
        safetensors.torch.save_file(inputs, f"{scratch}/in.safetensors")
        hinoki.run("probe", folder, "--input", f"{scratch}/in.safetensors", "--output", f"{scratch}/out.safetensors")
        return safetensors.torch.load_file(f"{scratch}/out.safetensors")


def difference(ours, theirs, counts):
    if set(ours) != set(theirs):
        return float("inf")
    return max(worst(ours[key][counts], value[counts]) for key, value in theirs.items())


def compare(hinoki, deck, scratch):
    """(description, complaints, worst difference) of one random model."""
    kind, config = draw(deck)
    dtype, sharded, newer = deck.draw("dtype", list(DTYPES)), deck.draw("sharded", [False, True]), deck.draw("newer", [False, True])
    model = kind(config).eval()
    randomise(model, deck.seed())
    folder, again = f"{scratch}/theirs", f"{scratch}/ours"
    model.to(DTYPES[dtype]).save_pretrained(folder, max_shard_size="10KB" if sharded else "5GB")
    normalize = config.feat_extract_norm == "layer"
    Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=normalize).save_pretrained(folder)
    model = kind.from_pretrained(folder, torch_dtype=torch.float32).eval()  # both read what is stored, and compute in f32
    if newer:
        respell(folder)
    text = (f"{kind.__name__} h{config.hidden_size} {config.num_hidden_layers} layers "
            f"{'pre' if config.do_stable_layer_norm else 'post'}-norm {config.feat_extract_norm} {len(config.conv_dim)} convs "
            f"{'biased ' if config.conv_bias else ''}taps {config.num_conv_pos_embeddings}/"
            f"{config.num_conv_pos_embedding_groups} {config.hidden_act} {dtype}{' sharded' if sharded else ''}"
            f"{' newer names' if newer else ''}")

    generator = torch.Generator().manual_seed(deck.seed())
    samples = torch.randn(2, deck.rng.randrange(1200, 6000), generator=generator)
    padded = None
    if config.feat_extract_norm == "layer" and deck.draw("padded", [True, False]):  # in group norm, transformers counts padding
        padded = torch.tensor([samples.shape[1], deck.rng.randrange(800, samples.shape[1])])
        samples[1, padded[1]:] = 0
    theirs, counts = hear(model, samples, padded)
    worst_of = difference(probe(hinoki, folder, samples, padded), theirs, counts)
    complaints = [] if worst_of <= TOLERANCE else [f"probe differs by {worst_of:.1e}"]

    hinoki.run("import", folder, again)
    loader = AutoModelForCTC if kind is HubertForCTC else AutoModel
    loaded, info = loader.from_pretrained(again, torch_dtype=torch.float32, output_loading_info=True)
    complaints += [f"{name}: {sorted(map(str, keys))[:5]}" for name, keys in info.items() if keys]
    if type(loaded) is not kind:
        complaints.append(f"became a {type(loaded).__name__}")
    back, _ = hear(loaded.eval(), samples, padded)
    if difference(back, theirs, counts) > 1e-6:
        complaints.append(f"what was written differs by {difference(back, theirs, counts):.1e}")
    if Wav2Vec2FeatureExtractor.from_pretrained(again).do_normalize != normalize:
        complaints.append("do_normalize differs")
    heard = run_card(again, samples=samples[0].tolist())["out"]
    if type(heard) is not type(loaded(samples[:1])):
        complaints.append(f"the model card leaves a {type(heard).__name__}")
    return text, complaints, worst_of


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    hinoki_program.quiet()
    modeling.is_fsdp_managed_module = lambda module: False
    hinoki, deck, wrong = Hinoki(sys.argv[1]), Deck(2106), 0
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 24
    for _ in range(count):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                text, complaints, difference_of = compare(hinoki, deck, scratch)
            except RuntimeError as error:
                text, complaints, difference_of = "", [str(error)], float("inf")
        wrong += bool(complaints)
        print(f"{'WRONG' if complaints else 'ok':5} {difference_of:9.1e} {text}")
        for complaint in complaints:
            print(f"      {complaint}")
    untried = deck.untried()
    for switch in untried:
        print(f"WRONG no model had {switch}")
    print(f"{count} HuBERTs, {wrong} wrong; {len(untried)} switches not tried")
    return 1 if wrong or untried else 0


if __name__ == "__main__":
    sys.exit(main())
