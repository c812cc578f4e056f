"""Tiny random models of transformers, with every switch that Hinoki has."""
import random

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

ACTIVATIONS = ["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"]


class Deck:
    """Draws at random, but every value of a switch once before one comes again: a few dozen models try them all."""

    def __init__(self, seed):
        self.rng, self.left, self.tried = random.Random(seed), {}, set()

    def draw(self, switch, values):
        key = (switch, str(values))
        left = self.left.setdefault(key, [])
        if not left:
            left.extend(self.rng.sample(values, len(values)))
        value = left.pop()
        if not left:
            self.tried.add(key)
        return value

    def untried(self):
        """What no model has had yet, in words."""
        return [f"{switch}: {', '.join(map(str, left))}" for (switch, values), left in self.left.items()
                if (switch, values) not in self.tried]

    def seed(self):
        return self.rng.randrange(1 << 30)


def draw_neox(deck):
    def draw(switch, values):
        return deck.draw(f"gpt_neox {switch}", values)

    heads, rotary_pct = draw("heads", [1, 2, 4]), draw("rotary_pct", [0.25, 0.3, 0.5, 1.0])
    head = draw("head size", [8, 16, 20] if rotary_pct != 0.25 else [8, 16])  # an even number of rotated dimensions
    return GPTNeoXForCausalLM, GPTNeoXConfig(
        vocab_size=draw("vocabulary", [33, 97, 128]), hidden_size=heads * head, num_hidden_layers=draw("layers", [1, 2, 3]),
        num_attention_heads=heads, intermediate_size=draw("intermediate_size", [24, 64, 4 * heads * head]),
        hidden_act=draw("hidden_act", ACTIVATIONS), rotary_pct=rotary_pct,
        rotary_emb_base=draw("rotary_emb_base", [10000, 500, 100000]),
        rope_scaling=draw("rope_scaling", [None, {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 4.0},
                                           {"rope_type": "default"}]),
        max_position_embeddings=draw("positions", [32, 64]), layer_norm_eps=draw("layer_norm_eps", [1e-5, 1e-6, 1e-3]),
        use_parallel_residual=draw("use_parallel_residual", [True, False]),
        tie_word_embeddings=draw("tie_word_embeddings", [True, False]), attention_bias=draw("attention_bias", [True, False]),
        hidden_dropout=draw("hidden_dropout", [0.0, 0.1]), attention_dropout=draw("attention_dropout", [0.0, 0.2]),
        initializer_range=draw("initializer_range", [0.02, 0.05]), bos_token_id=2, eos_token_id=3,
        pad_token_id=draw("pad_token_id", [None, 1]))


def draw_gpt2(deck):
    def draw(switch, values):
        return deck.draw(f"gpt2 {switch}", values)

    heads, head = draw("heads", [1, 2, 4]), draw("head size", [8, 16, 20])
    return GPT2LMHeadModel, GPT2Config(
        vocab_size=draw("vocabulary", [33, 97, 128]), n_embd=heads * head, n_layer=draw("layers", [1, 2, 3]), n_head=heads,
        n_inner=draw("n_inner", [None, 24, 72]), n_positions=draw("positions", [32, 64]),
        activation_function=draw("activation_function", ACTIVATIONS),
        layer_norm_epsilon=draw("layer_norm_epsilon", [1e-5, 1e-6]),
        tie_word_embeddings=draw("tie_word_embeddings", [True, False]), attn_pdrop=draw("attn_pdrop", [0.1, 0.0]),
        embd_pdrop=draw("embd_pdrop", [0.1, 0.05]), resid_pdrop=draw("resid_pdrop", [0.1, 0.2]),
        initializer_range=draw("initializer_range", [0.02, 0.05]), bos_token_id=2, eos_token_id=3,
        pad_token_id=draw("pad_token_id", [None, 1]))


def randomise(model, seed):
    """Weights that leave no part of the model out: nothing is zero, and no norm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            norm = weight.dim() == 1 and name.endswith("weight")
            weight.copy_(1 + 0.2 * noise if norm else (0.1 if weight.dim() == 1 else 0.2) * noise)


def describe(config):
    c = config
    if c.model_type == "gpt2":
        text = f"gpt2 h{c.n_embd} inner {c.n_inner} {c.activation_function}"
    else:
        scaling = c.rope_scaling and c.rope_scaling.get("factor", "default")
        text = (f"neox h{c.hidden_size} {'parallel' if c.use_parallel_residual else 'sequential'} pct {c.rotary_pct} "
                f"base {c.rotary_emb_base} scaling {scaling} {c.hidden_act} {'bias' if c.attention_bias else 'no bias'}")
    return f"{text} {'tied' if c.tie_word_embeddings else 'untied'}"
