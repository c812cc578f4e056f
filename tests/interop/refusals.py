"""Folders that transformers would compute otherwise than Hinoki: each must be refused, and the reason named."""
import tempfile

import safetensors.torch
import torch

from hinoki_program import edit_config, stored
from random_models import draw_gpt2, draw_neox

# (key, value, what the refusal must name)
SETTINGS = {
    draw_gpt2: [("scale_attn_weights", False, "scale_attn_weights"), ("reorder_and_upcast_attn", True, "reorder_and_upcast_attn"),
                ("scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx"),
                ("add_cross_attention", True, "add_cross_attention"), ("activation_function", "relu", "relu")],
    draw_neox: [("hidden_act", "relu", "relu"), ("rope_scaling", {"type": "dynamic", "factor": 2.0}, "dynamic"),
                ("rope_parameters", {"rope_type": "yarn", "factor": 2.0, "rope_theta": 10000.0}, "yarn")]}
LAYER_WEIGHT = {draw_gpt2: "transformer.h.0.mlp.c_fc.weight", draw_neox: "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"}


def refusals(hinoki, deck):
    """Complaints about what `hinoki import` takes, or refuses without a word of the reason."""
    for draw, settings in SETTINGS.items():
        kind, config = draw(deck)
        for key, value, named in settings:
            with tempfile.TemporaryDirectory() as folder:
                kind(config).save_pretrained(folder)
                edit_config(folder, lambda c: c.update({key: value}))
                yield from hinoki.refusal(f"{config.model_type} with {key} = {value}", named, folder)
        name = LAYER_WEIGHT[draw]
        for what, changed, named in (("a tensor too much", {"left.over": torch.ones(2)}, "left.over"),
                                     ("a tensor missing", {name: None}, name),
                                     ("a tensor of another shape", {name: torch.ones(3, 5)}, name)):
            with tempfile.TemporaryDirectory() as folder:
                kind(config).save_pretrained(folder)
                weights = {key: value for key, value in {**stored(folder), **changed}.items() if value is not None}
                safetensors.torch.save_file(weights, f"{folder}/model.safetensors", metadata={"format": "pt"})
                yield from hinoki.refusal(f"{config.model_type} with {what}", named, folder)
