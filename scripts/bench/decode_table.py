"""The Markdown table of scripts/bench/decode.sh from its JSON lines: the best round of each program."""
import json
import sys

best = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    key = run["size"], run["batch"], run["program"] != "hinoki", run["dtype"]
    if key not in best or run["step_ms"] < best[key]["step_ms"]:
        best[key] = run
print("| size | batch | program | weights | ms a step | tokens/s | read GB/s of what memory gives | of PyTorch f32 |")
print("|---|---|---|---|---|---|---|---|")
for key, run in sorted(best.items()):
    peer = best.get((*key[:2], True, "f32"))
    ratio = f"{run['tokens_per_s'] / peer['tokens_per_s']:.2f}" if peer else "-"
    reads = f"{run['read_gbs']:.1f} of {run['memory_gbs']:.1f}" if "read_gbs" in run else "-"
    print(f"| {run['size']} | {run['batch']} | {run['program']} | {run['dtype']} | {run['step_ms']:.2f} "
          f"| {run['tokens_per_s']:.1f} | {reads} | {ratio} |")
