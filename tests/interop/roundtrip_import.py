"""Random models of transformers against Hinoki: roundtrip_import.py PROGRAM [COUNT]

Makes COUNT (60) tiny GPT-NeoX and GPT-2 models with every switch drawn at random, saves them whole or in shards as f32, f16
or bf16, and compares `hinoki probe` (logits and every hidden state, within 1e-4 of the largest value) and greedy
`hinoki generate` with transformers. Run it in the environment `models`. Exits 1 on any difference."""
import random
import sys
import tempfile

import torch

import hinoki_program
from hinoki_program import Hinoki, greedy_reference, worst
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

TOLERANCE = 1e-4
NEW_TOKENS = 8
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def draw_neox(rng):
    heads, head = rng.choice([1, 2, 4]), rng.choice([8, 16, 20])  # an even number of rotated dimensions, below
    tied = rng.random() < 0.5
    scaling = rng.choice([None, None, {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 4.0}])
    return GPTNeoXForCausalLM, GPTNeoXConfig(
        vocab_size=rng.choice([33, 97, 128]), hidden_size=heads * head, num_hidden_layers=rng.choice([1, 2, 3]),
        num_attention_heads=heads, intermediate_size=rng.choice([24, 64, 4 * heads * head]),
        hidden_act=rng.choice(["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"]), rotary_pct=rng.choice([0.25, 0.5, 1.0] if head != 20 else [0.5, 1.0]),
        rotary_emb_base=rng.choice([10000, 500, 100000]), max_position_embeddings=rng.choice([32, 64]),
        layer_norm_eps=rng.choice([1e-5, 1e-6, 1e-3]), use_parallel_residual=rng.random() < 0.5, tie_word_embeddings=tied,
        attention_bias=rng.random() < 0.7, rope_scaling=scaling, bos_token_id=2, eos_token_id=3)


def draw_gpt2(rng):
    heads, head = rng.choice([1, 2, 4]), rng.choice([8, 16, 20])
    return GPT2LMHeadModel, GPT2Config(
        vocab_size=rng.choice([33, 97, 128]), n_embd=heads * head, n_layer=rng.choice([1, 2, 3]), n_head=heads,
        n_inner=rng.choice([None, 24, 72]), n_positions=rng.choice([32, 64]),
        activation_function=rng.choice(["gelu_new", "gelu", "gelu_fast", "gelu_pytorch_tanh"]),
        layer_norm_epsilon=rng.choice([1e-5, 1e-6]), bos_token_id=2, eos_token_id=3)


def randomise(model, rng):
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            norm = weight.dim() == 1 and name.endswith("weight")
            weight.copy_(1 + 0.2 * noise if norm else (0.1 if weight.dim() == 1 else 0.2) * noise)


def describe(model, dtype, shards):
    c = model.config
    if c.model_type == "gpt2":
        text = f"gpt2 h{c.n_embd} inner {c.n_inner} {c.activation_function}"
    else:
        text = (f"neox h{c.hidden_size} {'parallel' if c.use_parallel_residual else 'sequential'} pct {c.rotary_pct} "
                f"base {c.rotary_emb_base} scaling {c.rope_scaling and c.rope_scaling['factor']} {c.hidden_act} "
                f"{'bias' if c.attention_bias else 'no bias'}")
    return f"{text} {'tied' if c.tie_word_embeddings else 'untied'} {dtype}{' sharded' if shards else ''}"


def compare(hinoki, rng):
    """(description, worst difference, greedy tokens agree) of one random model."""
    kind, config = rng.choice([draw_neox, draw_neox, draw_gpt2])(rng)
    dtype, sharded = rng.choice(list(DTYPES)), rng.random() < 0.4
    model = kind(config).eval()
    randomise(model, rng)
    with tempfile.TemporaryDirectory() as folder:
        model.to(DTYPES[dtype]).save_pretrained(folder, max_shard_size="20KB" if sharded else "5GB")
        # Both read what is stored, and compute in f32.
        model = kind.from_pretrained(folder, torch_dtype=torch.float32).eval()
        ids = torch.randint(0, config.vocab_size, (2, rng.randrange(1, 25)), generator=torch.Generator().manual_seed(
            rng.randrange(1 << 30)))
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        expected = {"logits": out.logits, **{f"hidden_states.{n}": s for n, s in enumerate(out.hidden_states)}}
        ours = hinoki.probe(folder, ids, folder)
        missing = set(expected) - set(ours)
        difference = float("inf") if missing else max(worst(ours[key], value) for key, value in expected.items())
        prompt = ids[0, :5].tolist()
        same = hinoki.greedy(folder, prompt, NEW_TOKENS) == greedy_reference(model, prompt, NEW_TOKENS)
    return describe(model, dtype, sharded), difference, same


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    hinoki_program.quiet()
    hinoki, rng, wrong = Hinoki(sys.argv[1]), random.Random(404), 0
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 60
    for _ in range(count):
        try:
            text, difference, same = compare(hinoki, rng)
        except RuntimeError as error:
            text, difference, same = str(error), float("inf"), False
        bad = not difference <= TOLERANCE or not same
        wrong += bad
        print(f"{'WRONG' if bad else 'ok':5} {difference:9.1e} {'tokens equal' if same else 'tokens differ':13} {text}")
    print(f"{count} models, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
