"""The Markdown tables of gpu_check.sh, from its JSON lines: gpu_table.py FOLDER."""
import json
import os
import sys

# Dense bf16 of the data sheets, in TFLOP/s.
DATA_SHEET = {"H200": 989, "H100": 989, "A100": 312}


def lines(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])


def kernel_rows(kernels):
    for k in kernels:
        computes = k["flops"] > 0
        rate = (k["flops"] * 1e-12 if computes else k["bytes"] * 1e-9) / k["seconds"]
        yield (k["kernel"], k["dtype"], f"{1e3 * k['seconds']:.3f}", f"{rate:.0f} {'TFLOP/s' if computes else 'GB/s'}",
               f"{100 * k['of_ceiling']:.0f} %")


def step_rows(steps, peers):
    """Hinoki first in each size; shares of the peak by Hinoki's count of FLOPs and its measured product."""
    for own in steps:
        sheet = next((peak for name, peak in DATA_SHEET.items() if name in own["device"]), None)
        for run in [own] + [peer for peer in peers if peer["size"] == own["size"]]:
            rate = own["flops_per_step"] / (run["ms_median"] * 1e-3) * 1e-12
            yield (own["size"], run["program"], f"{run['ms_median']:.1f}", f"{run['tokens_per_s']:.0f}",
                   "" if run is own else f"{own['tokens_per_s'] / run['tokens_per_s']:.2f}x",
                   f"{100e3 * rate / own['fma_peak_gflops']:.0f} %", f"{100 * rate / sheet:.0f} %" if sheet else "-",
                   f"{run['peak_bytes'] / 2**30:.1f}")


def main():
    folder = sys.argv[1]
    kernels, steps, peers = (lines(folder, name) for name in ("kernels.jsonl", "steps.jsonl", "peer.jsonl"))
    if not kernels and not steps:
        sys.exit(f"gpu_table.py: {folder} holds no kernels.jsonl and no steps.jsonl: run those stages first")
    if kernels:
        print(f"{kernels[0]['device']}: copy {kernels[0]['copy_bytes_per_s'] * 1e-9:.0f} GB/s, bf16 product "
              f"{kernels[0]['product_flops_per_s'] * 1e-12:.0f} TFLOP/s\n")
        print(table(("kernel", "dtype", "ms", "rate", "of the ceiling"), kernel_rows(kernels)), "\n")
    if steps:
        print(table(("size", "program", "ms a step", "tokens/s", "Hinoki is", "of measured product", "of data sheet",
                     "peak GiB"), step_rows(steps, peers)))


if __name__ == "__main__":
    main()
