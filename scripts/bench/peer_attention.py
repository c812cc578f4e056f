"""Attention in plain PyTorch, to measure beside `hinoki bench kernels`: one JSON line per head size, direction and backend.

The shapes are those of train/bench_kernels.cpp: 8 sequences of 2048, 16 heads of 64, 80, 96 and 128, causal, bf16. The FLASH
backend runs in its deterministic mode, for Hinoki's backward pass always is; then every backend runs as it comes, for the
fastest of them is a bar as well. A time is the best of five rounds between two CUDA events, and FLOPs are counted as Hinoki
counts them, the causal half alone. A backend that refuses a shape leaves no line and says so. Needs PyTorch 2.3 or newer."""
import argparse
import json
import sys
import time

HEAD_SIZES = (64, 80, 96, 128)
BACKENDS = {"flash": "FLASH_ATTENTION", "cudnn": "CUDNN_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes for a trial without a GPU: the figures say nothing")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one round of measuring")
    return parser.parse_args()


def seconds_of(torch, device, seconds, run):
    """Of one call: the best of five rounds, of which the first, a single call, sets the length of the others."""
    def on_gpu(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(repeats):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3 / repeats

    def on_cpu(repeats):
        begin = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - begin) / repeats

    measure = on_gpu if device == "cuda" else on_cpu
    run()  # makes plans and workspaces
    best = measure(1)
    repeats = min(max(int(seconds / best), 1), 10000)
    return min(best, *(measure(repeats) for _ in range(4)))


def measure(torch, options, head, backend, deterministic):
    """[(kernel as `hinoki bench kernels` names it, seconds, FLOPs)], forward and backward."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    batch, length, heads = (1, 64, 2) if options.tiny else (8, 2048, 16)
    # Its own layout: rows of heads in memory, heads first in the shape.
    q, k, v, dout = (torch.randn(batch, length, heads, head, device=options.device, dtype=torch.bfloat16).transpose(1, 2)
                     for _ in range(4))
    for x in (q, k, v):
        x.requires_grad_()
    torch.use_deterministic_algorithms(deterministic)
    attend = torch.nn.functional.scaled_dot_product_attention
    with sdpa_kernel([getattr(SDPBackend, BACKENDS[backend])]):
        forward = seconds_of(torch, options.device, options.seconds, lambda: attend(q, k, v, is_causal=True))
        out = attend(q, k, v, is_causal=True)
        backward = seconds_of(torch, options.device, options.seconds,
                              lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
    product = float(batch * heads * length * (length + 1) * head)  # the causal half of one
    return [(f"attention, dim {head}", forward, 2 * product), (f"attention_grad, dim {head}", backward, 5 * product)]


def main():
    options = arguments()
    import torch
    torch.manual_seed(1234)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check of deterministic mode, not a part of attention
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    lines = 0
    for head in HEAD_SIZES:
        for backend, deterministic in [("flash", True)] + [(name, False) for name in BACKENDS]:
            try:
                results = measure(torch, options, head, backend, deterministic)
            except (RuntimeError, AttributeError) as error:
                print(f"peer_attention: {backend}, head size {head}: {str(error).splitlines()[0]}", file=sys.stderr)
                continue
            for kernel, seconds, flops in results:
                print(json.dumps({
                    "program": f"torch {torch.__version__}", "device": device, "kernel": kernel, "dtype": "bf16", "backend": backend,
                    "deterministic": deterministic, "seconds": seconds, "flops": flops}), flush=True)
                lines += 1
    if lines == 0:
        sys.exit("peer_attention: no backend of this PyTorch attends here")


if __name__ == "__main__":
    main()
