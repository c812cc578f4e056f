"""Decoding in plain PyTorch with a cache of keys and values, to measure beside `hinoki bench decode`: one JSON line.

A GPT-NeoX with parallel residual, a quarter of each head rotated, exact GELU and untied output; greedy tokens from random
weights. The cache is allocated once and written in place; nothing but the products, the attention and the norms is
done in a step. Works with PyTorch 1.13 to 2.15."""
import argparse
import json
import statistics
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["nano", "tiny", "small"], default="tiny")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the best counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    return parser.parse_args()


def main():
    options = arguments()
    import torch
    from torch import nn
    functional = nn.functional
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    layers, width, heads, vocabulary = {
        "nano": (2, 64, 2, 512), "tiny": (4, 256, 4, 8000), "small": (12, 768, 12, 32000)}[options.size]
    head, capacity = width // heads, options.prompt + options.tokens + 1
    rotated = head // 4
    dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32

    frequencies = 1.0 / 10000 ** (torch.arange(0, rotated, 2).float() / rotated)
    angles = torch.outer(torch.arange(capacity).float(), frequencies)
    angles = torch.cat([angles, angles], -1)
    cosine, sine = angles.cos().to(dtype), angles.sin().to(dtype)

    def rotate(x, begin, end):
        turned, kept = x[..., :rotated], x[..., rotated:]
        a, b = turned.chunk(2, -1)
        return torch.cat([turned * cosine[begin:end] + torch.cat([-b, a], -1) * sine[begin:end], kept], -1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.dense = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x, keys, values, begin):
            rows, count, _ = x.shape
            end = begin + count
            q, k, v = self.qkv(self.norm1(x)).view(rows, count, heads, 3 * head).transpose(1, 2).chunk(3, -1)
            keys[:, :, begin:end] = rotate(k, begin, end)
            values[:, :, begin:end] = v
            q = rotate(q, begin, end)
            k, v = keys[:, :, :end], values[:, :, :end]
            if hasattr(functional, "scaled_dot_product_attention"):
                mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=count > 1)
            else:
                scores = torch.matmul(q, k.transpose(-1, -2)) * head ** -0.5
                if count > 1:
                    scores = scores.masked_fill(torch.ones(count, end, dtype=torch.bool).triu(1), float("-inf"))
                mixed = torch.matmul(torch.softmax(scores, -1), v)
            mixed = mixed.transpose(1, 2).reshape(rows, count, width)
            return x + self.dense(mixed) + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.head = nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids, cache, begin):
            x = self.embedding(ids)
            for block, (keys, values) in zip(self.blocks, cache):
                x = block(x, keys, values, begin)
            return self.head(self.norm(x[:, -1])).argmax(-1, keepdim=True)

    model = Model().to(dtype).eval()
    prompt = torch.randint(0, vocabulary, (options.batch, options.prompt))
    best_step, best_prefill = float("inf"), float("inf")
    with torch.inference_mode():
        for _ in range(options.rounds):
            shape = (options.batch, heads, capacity, head)
            cache = [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in range(layers)]
            start = time.perf_counter()
            ids = model(prompt, cache, 0)
            best_prefill = min(best_prefill, time.perf_counter() - start)
            steps = []
            for i in range(options.tokens):
                start = time.perf_counter()
                ids = model(ids, cache, options.prompt + i)
                ids.tolist()
                steps.append(time.perf_counter() - start)
            best_step = min(best_step, statistics.median(steps))
    print(json.dumps({
        "program": "torch " + torch.__version__, "task": "decode", "size": options.size, "batch": options.batch,
        "threads": options.threads, "dtype": options.dtype, "tokens_per_s": options.batch / best_step,
        "step_ms": 1e3 * best_step, "prefill_ms": 1e3 * best_prefill,
        "params": sum(p.numel() for p in model.parameters())}))


main()
