"""Registers and spills of the CUDA kernels, from ptxas: registers.py [--architectures 90a,80] [--all] [FILE.cu]...

Prints a line for each kernel, with the most of its instances; --all prints each instance. Exits 1 if a kernel spills that is not
one of SPARED. Needs nvcc, and no GPU."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SPARED = ("attention_backward_plain",)  # over keys, heads above 128 elements: for odd models, in f32 arithmetic
ENTRY = re.compile(r"Compiling entry function '(\S+)'[^\n]*\n[^\n]*\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, "
                   r"(\d+) bytes spill loads\n[^\n]*Used (\d+) registers")


def kernel_files():
    for folder in ("kernels", "kernels/cuda"):
        for name in sorted(os.listdir(os.path.join(ROOT, folder))):
            if name.endswith(".cu"):
                yield os.path.join(folder, name)


def compile_file(nvcc, path, architecture):
    """[(kernel as it was written, registers, spilled bytes)]"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [nvcc, "-std=c++20", f"-gencode=arch=compute_{architecture},code=sm_{architecture}", "-O3", "-Xptxas=-v",
             "--expt-relaxed-constexpr", "--expt-extended-lambda", "-I" + ROOT, "-cubin", "-o", os.path.join(folder, "out"),
             os.path.join(ROOT, path)], text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found = [(name, int(registers), max(int(stores), int(loads))) for name, _, stores, loads, registers in ENTRY.findall(done.stderr)]
    names = subprocess.run(["c++filt"], input="\n".join(name for name, _, _ in found), text=True, capture_output=True,
                           check=True).stdout.split("\n")
    plain = [re.sub(r"hinoki::|kernels::|\(anonymous namespace\)::|^void ", "", name) for name in names]
    return [(re.sub(r"\(.*", "", name.replace("(Side)", "Side ")), registers, spilled)
            for name, (_, registers, spilled) in zip(plain, found)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", default="90a,80")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    architectures = options.architectures.split(",")
    bad = 0
    for path in options.files or kernel_files():
        most = defaultdict(dict)
        for architecture in architectures:
            for name, registers, spilled in compile_file(nvcc, path, architecture):
                key = name if options.all else name.split("<")[0]
                before = most[key].get(architecture, (0, 0))
                most[key][architecture] = (max(before[0], registers), max(before[1], spilled))
                bad += spilled > 0 and not name.startswith(SPARED)
        for name, numbers in sorted(most.items()):
            of = ", ".join(f"{registers} on sm_{a}" + (f" ({spilled} bytes spilled)" if spilled else "")
                           for a, (registers, spilled) in numbers.items())
            print(f"{path} {name}: {of}", flush=True)
    if bad:
        print(f"{bad} kernels spill", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
