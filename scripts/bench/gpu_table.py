"""The Markdown tables of gpu_check.sh, from its JSON lines: gpu_table.py FOLDER | --self-test.

kernels.jsonl, steps.jsonl, peer.jsonl, attention.jsonl: of `hinoki bench kernels` and `hinoki bench step`, of peer_torch.py
and peer_attention.py. Any of them may be missing. --self-test reads invented lines and expects the figures they stand for."""
import json
import os
import sys
import tempfile

# Dense bf16 of the data sheets, in TFLOP/s.
DATA_SHEET = {"H200": 989, "H100": 989, "A100": 312}
# The speed to reach, as a share of the speed of PyTorch's FLASH backend in its deterministic mode.
ATTENTION_BARS = {"attention": 0.75, "attention_grad": 0.60}
NOTHING = "-"


def lines(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])


def percent(share):
    return f"{100 * share:.0f} %"


def kernel_rows(kernels):
    for k in kernels:
        computes = k["flops"] > 0
        rate = (k["flops"] * 1e-12 if computes else k["bytes"] * 1e-9) / k["seconds"]
        yield (k["kernel"], k["dtype"], f"{1e3 * k['seconds']:.3f}", f"{rate:.0f} {'TFLOP/s' if computes else 'GB/s'}",
               percent(k["of_ceiling"]))


def step_rows(steps, peers):
    """Hinoki first in each size; shares of the peak by Hinoki's count of FLOPs and its measured product."""
    for size in dict.fromkeys(run["size"] for run in steps + peers):
        own = next((run for run in steps if run["size"] == size), None)
        for run in ([own] if own else []) + [peer for peer in peers if peer["size"] == size]:
            if own and run["params"] != own["params"]:
                sys.exit(f"gpu_table.py: {size}: {run['params']} parameters in {run['program']} and {own['params']} in ours")
            sheet = next((peak for name, peak in DATA_SHEET.items() if name in run["device"]), None)
            rate = own["flops_per_step"] / (run["ms_median"] * 1e-3) * 1e-12 if own else None
            yield (size, run["program"], f"{run['ms_median']:.1f}", f"{run['tokens_per_s']:.0f}",
                   "" if run is own else f"{own['tokens_per_s'] / run['tokens_per_s']:.2f}x" if own else NOTHING,
                   percent(1e3 * rate / own["fma_peak_gflops"]) if own else NOTHING,
                   percent(rate / sheet) if own and sheet else NOTHING, f"{run['peak_bytes'] / 2**30:.1f}")


def attention_rows(kernels, peers):
    """Both directions at each head size that PyTorch has run, on one GPU and with the same work."""
    for name in dict.fromkeys(peer["kernel"] for peer in peers):
        own = next((k for k in kernels if k["kernel"] == name), None)
        others = [peer for peer in peers if peer["kernel"] == name]
        if own and any((own["flops"], own["device"], own["dtype"]) != (o["flops"], o["device"], o["dtype"]) for o in others):
            sys.exit(f"gpu_table.py: {name}: kernels.jsonl and attention.jsonl are not of the same shapes on the same GPU")
        flash = next((o for o in others if o["backend"] == "flash" and o["deterministic"]), None)
        fastest = min(others, key=lambda o: o["seconds"])

        def ms(run):
            return f"{1e3 * run['seconds']:.3f}" if run else NOTHING

        def reached(run):
            return percent(run["seconds"] / own["seconds"]) if own and run else NOTHING

        yield (name, ms(own), ms(flash), reached(flash), percent(ATTENTION_BARS[name.split(",")[0]]), ms(fastest),
               fastest["backend"], reached(fastest))


def report(folder):
    kernels, steps, peers, attention = (lines(folder, f"{name}.jsonl") for name in ("kernels", "steps", "peer", "attention"))
    if not kernels and not steps and not peers and not attention:
        sys.exit(f"gpu_table.py: {folder} holds no results: run the stages kernels, steps and peer first")
    parts = []
    if kernels:
        parts.append(f"{kernels[0]['device']}: copy {kernels[0]['copy_bytes_per_s'] * 1e-9:.0f} GB/s, bf16 product "
                     f"{kernels[0]['product_flops_per_s'] * 1e-12:.0f} TFLOP/s")
        parts.append(table(("kernel", "dtype", "ms", "rate", "of the ceiling"), kernel_rows(kernels)))
    if attention:
        parts.append(f"Attention beside {attention[0]['program']}; 100 % is its speed:")
        parts.append(table(("kernel", "ms", "FLASH, deterministic, ms", "of it", "wanted", "fastest there, ms", "which", "of it"),
                           attention_rows(kernels, attention)))
    if steps or peers:
        parts.append(table(("size", "program", "ms a step", "tokens/s", "Hinoki is", "of measured product", "of data sheet",
                            "peak GiB"), step_rows(steps, peers)))
    return "\n\n".join(parts)


def self_test():
    gpu = {"device": "NVIDIA H200", "dtype": "bf16"}
    product = {"copy_bytes_per_s": 4e12, "product_flops_per_s": 8e14}
    kernels = [{**gpu, **product, "kernel": "add", "seconds": 1e-4, "bytes": 3.6e8, "flops": 0, "of_ceiling": 0.9},
               {**gpu, **product, "kernel": "attention, dim 64", "seconds": 1e-3, "bytes": 0, "flops": 4e11, "of_ceiling": 0.5}]
    torch = {**gpu, "program": "torch 9", "kernel": "attention, dim 64", "flops": 4e11}
    attention = [{**torch, "backend": "flash", "deterministic": True, "seconds": 8e-4},
                 {**torch, "backend": "flash", "deterministic": False, "seconds": 7e-4},
                 {**torch, "backend": "cudnn", "deterministic": False, "seconds": 5e-4}]
    steps = [{**gpu, "program": "hinoki", "size": "1b", "ms_median": 200.0, "tokens_per_s": 80000.0, "flops_per_step": 1e14,
              "params": 10, "fma_peak_gflops": 8e5, "peak_bytes": 40 * 2**30}]
    torch_step = {**gpu, "program": "torch 9", "params": 10, "peak_bytes": 2**36}
    peers = [{**torch_step, "program": "torch 9 compiled", "size": "1b", "ms_median": 250.0, "tokens_per_s": 64000.0},
             {**torch_step, "size": "3b", "ms_median": 500.0, "tokens_per_s": 32000.0}]
    expected = ["NVIDIA H200: copy 4000 GB/s, bf16 product 800 TFLOP/s",
                "| add | bf16 | 0.100 | 3600 GB/s | 90 % |",
                "| attention, dim 64 | bf16 | 1.000 | 400 TFLOP/s | 50 % |",
                "| attention, dim 64 | 1.000 | 0.800 | 80 % | 75 % | 0.500 | cudnn | 50 % |",
                "| 1b | hinoki | 200.0 | 80000 |  | 62 % | 51 % | 40.0 |",  # 1e14 / 0.2 s = 500 TFLOP/s of 800 and of 989
                "| 1b | torch 9 compiled | 250.0 | 64000 | 1.25x | 50 % | 40 % | 64.0 |",
                "| 3b | torch 9 | 500.0 | 32000 | - | - | - | 64.0 |"]

    def reported(**files):
        with tempfile.TemporaryDirectory() as folder:
            for name, runs in files.items():
                with open(os.path.join(folder, f"{name}.jsonl"), "w", encoding="utf-8") as file:
                    file.write("what a program said\n" + "".join(json.dumps(run) + "\n" for run in runs))
            try:
                return report(folder)
            except SystemExit as refused:
                return f"refused: {refused}"

    everything = reported(kernels=kernels, steps=steps, peer=peers, attention=attention)
    missing = [line for line in expected if line not in everything.split("\n")]
    alone = reported(attention=attention)
    if "| attention, dim 64 | - | 0.800 | - | 75 % | 0.500 | cudnn | - |" not in alone:
        missing.append("PyTorch's attention alone")
    others = reported(kernels=kernels, attention=[{**run, "flops": 5e11} for run in attention])
    if not others.startswith("refused: gpu_table.py: attention, dim 64"):
        missing.append("a refusal of other shapes")
    if not reported(steps=steps, peer=[{**peers[0], "params": 11}]).startswith("refused: gpu_table.py: 1b: 11"):
        missing.append("a refusal of another model")
    if not reported().startswith("refused: gpu_table.py"):
        missing.append("a refusal of an empty folder")
    if missing:
        sys.exit("gpu_table.py --self-test: not there: " + "; ".join(missing) + "\n" + everything)
    print("gpu_table.py: invented results give the tables they should")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(report(sys.argv[1]))


if __name__ == "__main__":
    main()
