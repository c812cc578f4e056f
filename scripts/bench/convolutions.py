"""HuBERT's convolutions and group norm in Hinoki and PyTorch, in turns, and one Markdown table:
convolutions.py [PROGRAM] [--threads 2 1] [--rounds 2]     (default: build/hinoki; PyTorch is this Python's)

Forward and backward on 4 x 4 s of sound in f32, GELU of the input included from the second layer on. Each figure is the best of
all rounds; the columns are alike only in how they were measured, so look at the load of the machine."""
import argparse
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)


def best(run, rounds=5):
    run()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def peer():
    """Prints a JSON line for each layer; run as a process of its own, whose environment sets the threads."""
    import torch
    from torch.nn import functional
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def measure(name, f, inputs):
        y = f()
        dy = torch.rand_like(y) - 0.5
        forward = best(f)
        backward = best(lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True))
        print(json.dumps({"name": name, "forward": forward, "backward": backward}), flush=True)

    def noise(*shape):
        return (torch.rand(*shape) - 0.5).requires_grad_(True)

    samples = 64000
    for layer, (kernel, stride) in enumerate(zip(KERNELS, STRIDES)):
        x, weight = noise(4, 512 if layer else 1, samples), noise(512, 512 if layer else 1, kernel)
        if layer:
            measure(f"layer {layer}", lambda: functional.conv1d(functional.gelu(x), weight, stride=stride), [x, weight])
        else:
            measure("layer 0", lambda: functional.conv1d(x.detach(), weight, stride=stride), [weight])
        samples = (samples - kernel) // stride + 1
        if layer == 0:
            x, weight, bias = noise(4, 512, samples), noise(512), noise(512)
            measure("group norm", lambda: functional.group_norm(x, 512, weight, bias), [x, weight, bias])
    for width in (256, 768):
        x, weight = noise(4, width, samples), noise(width, width // 16, 128)
        measure(f"positional, {width}", lambda: functional.conv1d(x, weight, padding=64, groups=16)[..., :-1], [x, weight])


def lines_of(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def hinoki(program, threads):
    """{layer: (forward, backward) in seconds}, and the rate of a large product"""
    found, rate = {}, 0
    for kind in ("conv1d", "group_norm"):
        for line in lines_of([program, "bench", "kernels", "--json", "--only", kind, "--threads", str(threads)], threads):
            name, rate = line["kernel"], max(rate, line["product_flops_per_s"])
            back = name.endswith((", dx", ", dweight", "_grad"))
            for part in (", dx", ", dweight", "_grad", "conv1d, "):
                name = name.replace(part, "")
            forward, backward = found.get(name.replace("_", " "), (0, 0))
            times = (forward, backward + line["seconds"]) if back else (forward + line["seconds"], backward)
            found[name.replace("_", " ")] = times
    return found, rate


def flops():
    """{layer: of one pass}"""
    found, frames = {}, 64000
    for layer, (kernel, stride) in enumerate(zip(KERNELS, STRIDES)):
        frames = (frames - kernel) // stride + 1
        found[f"layer {layer}"] = 2 * 4 * frames * 512 * (512 if layer else 1) * kernel
    found.update({f"positional, {width}": 2 * 4 * frames * width * width // 16 * 128 for width in (256, 768)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build", "hinoki"))
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer()
    for threads in options.threads:
        own, theirs, rate = {}, {}, 0
        least = lambda a, b: tuple(map(min, a, b)) if a else b  # noqa: E731
        for _ in range(options.rounds):
            found, product = hinoki(options.program, threads)
            rate = max(rate, product)
            for name, times in found.items():
                own[name] = least(own.get(name), times)
            for line in lines_of([sys.executable, __file__, "--peer"], threads):
                theirs[line["name"]] = least(theirs.get(line["name"]), (line["forward"], line["backward"]))
        print(f"{threads} thread(s); a product of 2,048 squared runs at {rate * 1e-9:.0f} GFLOP/s; ms forward / backward\n")
        print("| | Hinoki | PyTorch | ratio | GFLOP/s of Hinoki |\n|---|---|---|---|---|")
        work = flops()
        for name, peer_times in theirs.items():
            mine, passes = own[name], 2 if name == "layer 0" else 3
            speed = f"{work[name] * passes / sum(mine) * 1e-9:.0f}" if name in work else ""
            print(f"| {name} | {mine[0] * 1e3:.1f} / {mine[1] * 1e3:.1f} | {peer_times[0] * 1e3:.1f} / {peer_times[1] * 1e3:.1f} "
                  f"| {sum(peer_times) / sum(mine):.1f} | {speed} |")
        print()


if __name__ == "__main__":
    main()
