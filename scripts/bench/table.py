"""The Markdown table of vs_torch.sh, from its JSON lines: table.py FILE. Each figure is the median of the rounds."""
import json
import statistics
import sys
from collections import defaultdict

HEAD = ("size", "threads", "program", "ms a step", "tokens or s of sound/s", "Hinoki is", "of FMA peak", "activations MB", "Hinoki needs",
        "clean steps")


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def speed_of(runs):
    """What they count may be tokens or seconds of sound."""
    return statistics.median(next(value for key, value in run.items() if key.endswith("_per_s")) for run in runs)


def rows(runs):
    """One row per (task, size, threads, program), Hinoki first."""
    groups = defaultdict(lambda: defaultdict(list))
    for run in runs:
        groups[run["task"], run["size"], run["threads"]][run["program"]].append(run)
    for (task, size, threads), programs in groups.items():
        own = programs["hinoki"]
        speed, memory, peak = speed_of(own), median(own, "activation_bytes"), median(own, "fma_peak_gflops")
        for name, group in sorted(programs.items(), key=lambda item: (item[0] != "hinoki", item[0])):
            # A peer's is of what Hinoki measured around its own steps; FLOPs are counted alike on both sides.
            share = (median(group, "share_of_peak") if "share_of_peak" in group[0] else
                     median(group, "flops_per_step") / median(group, "ms_median") / 1e6 / peak)
            other = name != "hinoki"
            yield (f"{task} {size}", threads, name, f"{median(group, 'ms_median'):.0f}", f"{speed_of(group):.4g}",
                   f"{speed / speed_of(group):.2f}x" if other else "", f"{100 * share:.0f} %",
                   f"{median(group, 'activation_bytes') / 1e6:.0f}",
                   f"{memory / median(group, 'activation_bytes'):.2f}x" if other else "",
                   " ".join(str(run["clean"]) for run in group))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        runs = [json.loads(line) for line in file if line.startswith("{")]
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for row in rows(runs):
        print("| " + " | ".join(map(str, row)) + " |")
    own = [run for run in runs if run["program"] == "hinoki"]
    print(f"\nFMA peak measured around the steps: "
          + ", ".join(f"{median([run for run in own if run['threads'] == n], 'fma_peak_gflops'):.0f} GFLOP/s at {n} thread(s)"
                      for n in sorted({run["threads"] for run in own})))
    blas = sorted({f"{run['program']}: {run['blas']}" for run in runs if "blas" in run})
    print("Matrix products of " + "; ".join(blas))


if __name__ == "__main__":
    main()
