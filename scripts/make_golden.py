"""Makes tests/golden: tiny models with what PyTorch and transformers compute from them.

Run it in the environment `models`: $(scripts/python_env.sh models) scripts/make_golden.py [FOLDER]

Each folder of tests/golden holds a Hugging Face model (config.json, model.safetensors) and expected.safetensors, all f32:
  ids, labels             [2,17]; labels[b,t] is the token that logits[b,t] should give, -100: none
  logits                  [2,17,V]
  hidden_states.N         [2,17,h]; 0: the embedding, the last: after the final norm
  loss_sum                [1]; cross entropy summed over the labels that count
  grad.NAME               gradients of loss_sum, names as in model.safetensors
  batches                 [10,4,17]; step n trains on batches[n]: token t predicts token t+1
  losses                  [10], f64; mean cross entropy before each of ten AdamW steps (settings below)
  final.NAME              two tensors after the ten steps
"""
import json
import os
import platform
import sys

import safetensors
import safetensors.torch
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

VOCABULARY, BATCH, TIME, STEPS = 97, 4, 17, 10
ADAMW = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
WEIGHT_DECAY, CLIP = 0.1, 1.0  # decay on matrices only; the norm is that of all gradients together

NEOX = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=32, hidden_dropout=0.0, attention_dropout=0.0, bos_token_id=2, eos_token_id=3)


def models():
    yield "neox_parallel", GPTNeoXForCausalLM(GPTNeoXConfig(
        **NEOX, use_parallel_residual=True, rotary_pct=0.25, hidden_act="gelu_new", tie_word_embeddings=True))
    yield "neox_sequential", GPTNeoXForCausalLM(GPTNeoXConfig(
        **NEOX, use_parallel_residual=False, rotary_pct=1.0, hidden_act="gelu", tie_word_embeddings=False,
        rope_scaling={"type": "linear", "factor": 2.5}))
    yield "neox_no_attention_bias", GPTNeoXForCausalLM(GPTNeoXConfig(
        **NEOX, use_parallel_residual=True, rotary_pct=0.5, rotary_emb_base=500, hidden_act="gelu",
        tie_word_embeddings=False, attention_bias=False))
    yield "gpt2", GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_inner=80, n_positions=32, activation_function="gelu_new",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=2, eos_token_id=3))


def randomise(model):
    """Weights at which everything matters: no zero bias, no norm weight of one."""
    generator = torch.Generator().manual_seed(20240402)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            norm = any(part in name for part in ("layernorm", "layer_norm", "ln_"))
            if norm and name.endswith("weight"):
                weight.copy_(1 + 0.2 * noise)
            else:
                weight.copy_((0.1 if weight.dim() == 1 else 0.15) * noise)


def cross_entropy(logits, labels, reduction):
    return torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), labels.reshape(-1), ignore_index=-100,
                                             reduction=reduction)


def one_batch(model, generator):
    ids = torch.randint(0, VOCABULARY, (2, TIME), generator=generator)
    labels = torch.full_like(ids, -100)
    labels[:, :-1] = ids[:, 1:]
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = -100
    model.zero_grad()
    out = model(ids, output_hidden_states=True)
    loss = cross_entropy(out.logits, labels, "sum")
    loss.backward()
    expected = {"ids": ids.int(), "labels": labels.int(), "logits": out.logits.detach(), "loss_sum": loss.detach().reshape(1)}
    for n, state in enumerate(out.hidden_states):
        expected[f"hidden_states.{n}"] = state.detach()
    for name, weight in model.named_parameters():
        expected[f"grad.{name}"] = weight.grad.clone()
    return expected


def ten_steps(model, generator):
    batches = torch.randint(0, VOCABULARY, (STEPS, BATCH, TIME), generator=generator)
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() == 1]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=WEIGHT_DECAY), dict(params=vectors, weight_decay=0.0)],
                                  **ADAMW)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = cross_entropy(model(batch).logits[:, :-1], batch[:, 1:], "mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    names = [name for name, _ in model.named_parameters()]
    kept = [next(name for name in names if "query_key_value.weight" in name or "c_attn.weight" in name), names[-1]]
    final = {f"final.{name}": dict(model.named_parameters())[name].detach() for name in kept}
    return {"batches": batches.int(), "losses": torch.tensor(losses, dtype=torch.float64), **final}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "golden")
    torch.set_num_threads(1)
    for name, model in models():
        folder = os.path.join(out, name)
        randomise(model)
        model.eval()
        model.save_pretrained(folder)
        os.remove(os.path.join(folder, "generation_config.json"))
        generator = torch.Generator().manual_seed(20240403)
        expected = one_batch(model, generator)
        expected.update(ten_steps(model, generator))
        expected = {key: value.contiguous() for key, value in expected.items()}
        safetensors.torch.save_file(expected, os.path.join(folder, "expected.safetensors"), metadata={"format": "pt"})
        print(f"{name}: loss sum {expected['loss_sum'].item():.6f}, "
              f"losses {expected['losses'][0].item():.6f} .. {expected['losses'][-1].item():.6f}")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
                "safetensors": safetensors.__version__}
    with open(os.path.join(out, "versions.json"), "w") as file:
        json.dump(versions, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
