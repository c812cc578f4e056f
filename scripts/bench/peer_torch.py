"""Training steps in plain PyTorch, to measure beside `hinoki bench step`: one JSON line per run.

A step is forward, loss, backward, AdamW, zero_grad on random tokens or sound, in f32 unless told otherwise; times are medians. FLOPs
are counted by hooks, two per multiply-add, the backward pass as twice the forward one; attention counts in full, with no
allowance for the causal half. Where cores are shared, a step counts only if its threads hardly waited for one ("clean").
Memory is the peak resident size above the interpreter, weights, gradients and moments. Works with PyTorch 1.13 to 2.15.

On a GPU (--device cuda) bf16 means f32 weights and moments under autocast, as Hinoki keeps f32 masters; memory is the
allocator's peak, and the optimizer the fused one unless another is asked for."""
import argparse
import contextlib
import ctypes
import json
import math
import os
import resource
import statistics
import sys
import time

LONGEST_WAIT = 0.05  # of a step's time, for a clean step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), default="gpt")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="clean steps wanted")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--max-seconds", type=float, default=300, help="stop waiting for clean steps after this long")
    parser.add_argument("--optim", choices=["default", "foreach", "fused"], default="default")
    parser.add_argument("--attention", choices=["auto", "manual"], default="auto", help="auto: PyTorch's own, where it has one")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["f32", "tf32", "bf16"], default="f32", help="tf32, bf16: on a GPU")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--batch", type=int, default=0, help="sequences, rows of sound (default: of the size)")
    parser.add_argument("--sequence", type=int, default=0, help="tokens a sequence, samples a row (default: of the size)")
    parser.add_argument("--profile", action="store_true", help="where the time goes, on stderr")
    return parser.parse_args()



def gpt(options, torch, count):
    """Parallel residual and a quarter of each head rotated, or as rinna's: one after the other, whole heads. Exact GELU,
    untied output."""
    from torch import nn
    functional = nn.functional
    layers, width, heads, length, vocabulary, batch = {
        "nano": (2, 64, 2, 64, 512, 2), "tiny": (4, 256, 4, 256, 8000, 8), "small": (12, 768, 12, 512, 32000, 2),
        "neox-small": (12, 768, 12, 2048, 44416, 32), "1b": (24, 2048, 16, 2048, 32000, 8),
        "3b": (36, 2816, 22, 2048, 32000, 8)}[options.size]
    as_rinna = options.size in ("neox-small", "3b")
    length, batch = options.sequence or length, options.batch or batch
    head = width // heads
    rotated = head if as_rinna else head // 4
    own_attention = options.attention == "auto" and hasattr(functional, "scaled_dot_product_attention")

    frequencies = 1.0 / 10000 ** (torch.arange(0, rotated, 2).float() / rotated)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    angles = torch.cat([angles, angles], -1)
    cosine, sine = angles.cos().to(options.device), angles.sin().to(options.device)
    future = torch.ones(length, length, dtype=torch.bool).triu(1).to(options.device)

    def rotate(x):
        turned, kept = x[..., :rotated], x[..., rotated:]
        a, b = turned.chunk(2, -1)
        return torch.cat([(turned * cosine + torch.cat([-b, a], -1) * sine).to(x.dtype), kept], -1)

    def attend(q, k, v):
        count(4.0 * q.shape[0] * heads * length * length * head)
        if own_attention:
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = torch.matmul(q, k.transpose(-1, -2)) * (1.0 / math.sqrt(head))
        return torch.matmul(torch.softmax(scores.masked_fill(future, float("-inf")), -1), v)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.dense = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], heads, 3 * head).transpose(1, 2).chunk(3, -1)
            mixed = self.dense(attend(rotate(q), rotate(k), v).transpose(1, 2).reshape(x.shape))
            if as_rinna:
                x = x + mixed
                return x + self.down(functional.gelu(self.up(self.norm2(x))))
            return x + mixed + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.head = nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids, labels):
            x = self.embedding(ids)
            for block in self.blocks:
                x = block(x)
            return functional.cross_entropy(self.head(self.norm(x)).view(-1, vocabulary), labels.reshape(-1))

    tokens = torch.randint(0, vocabulary, (batch, length + 1))
    return Model(), (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()), batch * length

def hubert(options, torch, count):
    """Pretraining of a base HuBERT: seven convolutions, norms behind residuals, cosines with 500 clusters on half of the frames."""
    from torch import nn
    functional = nn.functional
    layers, width, heads, channels, seconds, batch = {
        "nano": (2, 64, 2, 64, 1, 2), "tiny": (4, 256, 4, 512, 4, 4), "base": (12, 768, 12, 512, 10, 4)}[options.size]
    samples, batch = options.sequence or 16000 * seconds, options.batch or batch
    clusters, shared = 500, 256
    own_attention = options.attention == "auto" and hasattr(functional, "scaled_dot_product_attention")

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

        def forward(self, x):
            rows, time, _ = x.shape
            q, k, v = (part(x).view(rows, time, heads, width // heads).transpose(1, 2) for part in (self.q, self.k, self.v))
            count(4.0 * rows * time * time * width)
            if own_attention:
                mixed = functional.scaled_dot_product_attention(q, k, v)
            else:
                mixed = torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-1, -2)) * (width // heads) ** -0.5, -1), v)
            return self.out(mixed.transpose(1, 2).reshape(x.shape))

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.norm1, self.norm2 = Attention(), nn.LayerNorm(width), nn.LayerNorm(width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            x = self.norm1(x + self.attention(x))
            return self.norm2(x + self.down(functional.gelu(self.up(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
            self.convs = nn.ModuleList([nn.Conv1d(channels if i else 1, channels, k, s, bias=False)
                                        for i, (k, s) in enumerate(zip(kernels, strides))])
            self.group_norm = nn.GroupNorm(channels, channels)
            self.feature_norm, self.projection = nn.LayerNorm(channels), nn.Linear(channels, width)
            self.masked = nn.Parameter(torch.rand(width))
            self.positions = nn.utils.weight_norm(nn.Conv1d(width, width, 128, padding=64, groups=16), dim=2)
            self.norm, self.layers = nn.LayerNorm(width), nn.ModuleList([Layer() for _ in range(layers)])
            self.meet, self.clusters = nn.Linear(width, shared), nn.Parameter(torch.rand(clusters, shared))

        def forward(self, sound, mask, labels):
            x = sound.unsqueeze(1)
            for i, conv in enumerate(self.convs):
                x = conv(x)
                x = functional.gelu(self.group_norm(x) if i == 0 else x)
            features = x.transpose(1, 2)
            penalty = features.float().pow(2).mean()
            x = self.projection(self.feature_norm(features))
            x = torch.where(mask.unsqueeze(-1), self.masked.to(x.dtype), x)
            x = self.norm(x + functional.gelu(self.positions(x.transpose(1, 2))[..., :-1]).transpose(1, 2))
            for layer in self.layers:
                x = layer(x)
            guesses = functional.normalize(self.meet(x[mask]).float(), dim=-1)
            count(2.0 * guesses.shape[0] * clusters * shared)
            logits = guesses @ functional.normalize(self.clusters.float(), dim=-1).t() / 0.1
            return functional.cross_entropy(logits, labels[mask]) + 10 * penalty

    frames = samples
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)):
        frames = (frames - kernel) // stride + 1
    mask = torch.rand(batch, frames) < 0.5
    return Model(), (torch.randn(batch, samples), mask, torch.randint(0, clusters, (batch, frames))), batch * samples / 16000


# Each: (options, torch, count) -> model that returns its loss, its inputs, and how many units (tokens, ...) a step takes.
TASKS = {"gpt": gpt, "hubert": hubert}
UNITS = {"gpt": "tokens", "hubert": "seconds"}



def seconds_waited():
    """How long this process's threads have waited for a core so far."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/schedstat") as file:
                total += int(file.read().split()[1])
        except (OSError, ValueError, IndexError):
            pass  # a thread has ended, or the kernel does not say
    return total * 1e-9


def resident_bytes(peak=False):
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def blas_library(torch):
    """What multiplies matrices here: Debian's PyTorch takes whichever library the alternatives system points at."""
    if torch.backends.mkl.is_available():
        return "MKL"
    with open("/proc/self/maps") as file:
        paths = {line.split()[-1] for line in file if "libblas" in line or "libopenblas" in line}
    if not paths:
        return "built in"
    path = sorted(paths)[0]
    try:
        core_name = ctypes.CDLL(path).openblas_get_corename
    except AttributeError:
        return path
    core_name.restype = ctypes.c_char_p
    return f"{path}, its kernels for {core_name().decode()}"


def count_flops(torch, model, inputs, flops):
    def linear(module, _, output):
        flops[0] += 2.0 * output.numel() * module.in_features

    def convolution(module, _, output):
        flops[0] += 2.0 * output.numel() * module.in_channels // module.groups * module.kernel_size[0]

    kinds = [(torch.nn.Linear, linear), (torch.nn.Conv1d, convolution)]
    hooks = [module.register_forward_hook(hook) for module in model.modules() for kind, hook in kinds if isinstance(module, kind)]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return 3 * flops[0]


def initialise(torch, model):
    """Small weights, so that the first loss is near that of a uniform guess."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            torch.nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                torch.nn.init.zeros_(module.bias)


def make_step(torch, options, model, inputs):
    gpu = options.device == "cuda"
    extra = {options.optim: True} if options.optim != "default" else {"fused": True} if gpu else {}
    wait = torch.cuda.synchronize if gpu else lambda: None
    precision = torch.autocast("cuda", torch.bfloat16) if gpu and options.dtype == "bf16" else contextlib.nullcontext()

    def now():
        wait()
        return time.perf_counter()

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, **extra)

    def step():
        """(seconds of forward, backward, update), loss"""
        times = [now()]
        with precision:
            loss = model(*inputs)
        times.append(now())
        loss.backward()
        times.append(now())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(now())
        return [b - a for a, b in zip(times, times[1:])], loss

    return step


def timed_steps(step, options):
    """The phases of the steps to count, how many of them were clean, and the last loss."""
    taken, began = [], time.perf_counter()
    while sum(wait < LONGEST_WAIT for wait, _ in taken) < options.steps:
        waited, started = seconds_waited(), time.perf_counter()
        phases, loss = step()
        taken.append(((seconds_waited() - waited) / (time.perf_counter() - started), phases))
        if time.perf_counter() - began > options.max_seconds and len(taken) >= options.steps:
            break
    taken.sort(key=lambda item: item[0])
    clean = sum(wait < LONGEST_WAIT for wait, _ in taken)
    return [phases for _, phases in taken[:max(options.steps, clean)]], clean, loss.item()


def profile(torch, step):
    from torch.profiler import ProfilerActivity
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as result:
        for _ in range(3):
            step()
    print(result.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)


def main():
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(1234)
    interpreter = resident_bytes()
    flops, counting = [0.0], [True]

    def count(more):
        if counting[0]:
            flops[0] += more

    model, inputs, units = TASKS[options.task](options, torch, count)
    initialise(torch, model)
    model, inputs = model.to(options.device), [x.to(options.device) for x in inputs]
    torch.backends.cuda.matmul.allow_tf32 = options.dtype == "tf32"
    per_step = count_flops(torch, model, inputs, flops)
    counting[0] = False
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # counting runs in f32, without autocast
    if options.compile:
        model.compile()  # in place
    step = make_step(torch, options, model, inputs)
    for _ in range(options.warmup):
        step()
    phases, clean, loss = timed_steps(step, options)
    median = statistics.median(map(sum, phases))
    parameters = sum(weight.numel() for weight in model.parameters())
    gpu = options.device == "cuda"
    activations = (torch.cuda.max_memory_allocated() if gpu else resident_bytes(peak=True) - interpreter) - 4 * 4 * parameters
    forward, backward, update = (1e3 * statistics.median(phase) for phase in zip(*phases))
    print(json.dumps({
        "program": f"torch {torch.__version__}" + (" compiled" if options.compile else ""), "dtype": options.dtype,
        "device": torch.cuda.get_device_name() if gpu else "cpu", "peak_bytes": torch.cuda.max_memory_allocated() if gpu else 0, "task": options.task, "size": options.size, "threads": torch.get_num_threads(),
        f"{UNITS[options.task]}_per_s": units / median, "ms_median": 1e3 * median, "forward_ms": forward, "backward_ms": backward,
        "update_ms": update, "flops_per_step": per_step, "params": parameters, "clean": clean, "steps": len(phases),
        "activation_bytes": activations, "optim": options.optim,
        "blas": blas_library(torch), "loss": loss}), flush=True)
    if options.profile:
        profile(torch, step)


if __name__ == "__main__":
    main()
