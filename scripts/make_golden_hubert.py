"""Makes tests/golden/hubert_base and hubert_large: tiny HuBERTs with what PyTorch and transformers compute from them.

Run it in the environment `models`: $(scripts/python_env.sh models) scripts/make_golden_hubert.py [FOLDER]

Each holds a Hugging Face model (config.json, preprocessor_config.json, model.safetensors) and expected.safetensors, f32:
  samples                 [2,S]
  hidden_states.N         [2,T,h]; 0: the input of layer 1
  grad.NAME               gradients of `loss`, names as in model.safetensors

hubert_base is a HubertModel (post-norm, group norm), pretrained as HuBERT is. The hidden states are of unmasked frames.
  features                [2,T,C]; the convolutions' output
  masked_frames, labels   [2,T], i32
  final_proj.weight, final_proj.bias, label_embeddings    the heads; with gradients like the rest
  loss                    [1]; cross entropy over cosines / 0.1, summed over the masked frames, plus, of each row, ten times
                          its masked frames times the mean square of its features

hubert_large is a HubertForCTC (pre-norm, layer norms, biases). Its second row is shorter: what is said of padding is not
compared.
  lengths                 [2], i32: samples that are real
  logits, cotangent       [2,T,V]; the cotangent is zero where frames are padding
  loss                    [1]; the sum of logits * cotangent
"""
import os
import sys

import safetensors.torch
import torch
import transformers.models.hubert.modeling_hubert as modeling
from torch.nn.functional import cosine_similarity, cross_entropy, linear
from transformers import HubertConfig, HubertForCTC, HubertModel, Wav2Vec2FeatureExtractor

TINY = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40, conv_dim=[6, 8, 8, 6, 8, 8, 10],
            num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4, hidden_dropout=0.0, activation_dropout=0.0,
            attention_dropout=0.0, feat_proj_dropout=0.0, final_dropout=0.0, layerdrop=0.0)
LARGE = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
SAMPLES, LENGTHS, CLASSES, FINAL, VOCABULARY = 4200, [4200, 2950], 11, 16, 13


def randomise(model):
    """Weights at which everything matters: no zero bias, no norm weight of one."""
    generator = torch.Generator().manual_seed(20210614)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if "layer_norm.weight" in name or name.endswith("weight_g"):
                weight.copy_(1 + 0.2 * noise)
            elif weight.dim() == 1:
                weight.copy_(0.1 * noise)
            else:
                gain = 1.5 if "conv_layers" in name else 1  # what GELU takes away, six times over
                weight.copy_(gain * weight[0].numel() ** -0.5 * noise)


def save(model, folder, normalize, expected):
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=normalize).save_pretrained(folder)
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            expected[f"grad.{name}"] = weight.grad
    expected = {key: value.detach().clone().contiguous() for key, value in expected.items()}
    safetensors.torch.save_file(expected, os.path.join(folder, "expected.safetensors"), metadata={"format": "pt"})
    print(f"{folder}: loss {expected['loss'].item():.6f}, {len(expected)} tensors")


def states_of(out):
    return {f"hidden_states.{n}": state for n, state in enumerate(out.hidden_states)}


def base(folder):
    model = HubertModel(HubertConfig(**TINY))
    randomise(model)
    model.eval()
    generator = torch.Generator().manual_seed(20210615)
    samples = 0.3 * torch.randn(2, SAMPLES, generator=generator)
    expected = {"samples": samples, **states_of(model(samples, output_hidden_states=True))}
    frames = expected["hidden_states.0"].shape[1]
    masked = torch.rand(2, frames, generator=generator) < 0.5
    labels = torch.randint(0, CLASSES, (2, frames), generator=generator)
    heads = {"final_proj.weight": 0.2 * torch.randn(FINAL, TINY["hidden_size"], generator=generator),
             "final_proj.bias": 0.1 * torch.randn(FINAL, generator=generator),
             "label_embeddings": torch.rand(CLASSES, FINAL, generator=generator)}
    for head in heads.values():
        head.requires_grad_()
    features = model.feature_extractor(samples).transpose(1, 2)
    hidden = model(samples, mask_time_indices=masked).last_hidden_state
    projected = linear(hidden[masked], heads["final_proj.weight"], heads["final_proj.bias"])
    logits = cosine_similarity(projected[:, None], heads["label_embeddings"][None], dim=-1) / 0.1
    loss = cross_entropy(logits, labels[masked], reduction="sum")
    loss = loss + 10 * (masked.sum(1) * features.square().mean((1, 2))).sum()
    loss.backward()
    expected.update(heads, features=features, masked_frames=masked.int(), labels=labels.int(), loss=loss.reshape(1))
    expected.update({f"grad.{name}": head.grad for name, head in heads.items()})
    save(model, folder, False, expected)


def large(folder):
    model = HubertForCTC(HubertConfig(**TINY, **LARGE, vocab_size=VOCABULARY))
    randomise(model)
    model.eval()
    generator = torch.Generator().manual_seed(20210616)
    samples = torch.randn(2, SAMPLES, generator=generator)
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(SAMPLES)[None] < lengths[:, None]
    samples[~real] = 0
    out = model(samples, attention_mask=real.long(), output_hidden_states=True)
    frames = model._get_feat_extract_output_lengths(lengths)
    cotangent = torch.randn(out.logits.shape, generator=generator)
    cotangent[torch.arange(out.logits.shape[1])[None] >= frames[:, None]] = 0
    loss = (out.logits * cotangent).sum()
    loss.backward()
    save(model, folder, True, {"samples": samples, "lengths": lengths.int(), "logits": out.logits, "cotangent": cotangent,
                               "loss": loss.reshape(1), **states_of(out)})


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "golden")
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False  # PyTorch 1.13's gradient of a narrow convolution reads what nobody wrote there
    modeling.is_fsdp_managed_module = lambda module: False  # asks for a module that Debian's PyTorch lacks
    base(os.path.join(out, "hubert_base"))
    large(os.path.join(out, "hubert_large"))


if __name__ == "__main__":
    main()
