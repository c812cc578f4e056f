"""Does this transformers read the same settings in config.json as Hinoki wrote it as in the one that Hinoki read?

check_configs.py FOLDER : what `roundtrip_import.py PROGRAM COUNT FOLDER` has left, which compares them in transformers 4. Run it
in the environment tokenizers5. Exits 1 on any difference."""
import json
import os
import sys
import tempfile

import transformers
from transformers import AutoConfig

# Who wrote the file, of which type its weights are, and keys that one of transformers 4 and 5 takes no notice of.
NO_SETTING = {"_name_or_path", "transformers_version", "_attn_implementation_autoset", "torch_dtype", "dtype", "n_ctx"}
OF_TRANSFORMERS_4 = {"rotary_pct", "rotary_emb_base", "rope_theta", "partial_rotary_factor", "rope_scaling"}
OF_TRANSFORMERS_5 = {"rope_parameters"}


def settings(config):
    """What a config comes to, however it is said."""
    others = OF_TRANSFORMERS_5 if int(transformers.__version__.split(".")[0]) < 5 else OF_TRANSFORMERS_4
    out = {key: value for key, value in config.to_dict().items() if key not in NO_SETTING | others}
    if config.model_type == "gpt2" and out["n_inner"] is None:
        out["n_inner"] = 4 * config.n_embd
    for key in ("rope_scaling", "rope_parameters"):
        if out.get(key):
            said = {"rope_type": out[key].get("type"), **out[key]}
            out[key] = {name: value for name, value in said.items() if name != "type"}
    if (out.get("rope_scaling") or {}).get("rope_type") == "default":
        out["rope_scaling"] = None
    return out


def different_settings(ours, theirs):
    a, b = settings(ours), settings(theirs)
    return [f"{key} is {a.get(key)} and not {b.get(key)}" for key in sorted(set(a) | set(b)) if a.get(key) != b.get(key)]


def read(path):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(path), f"{folder}/config.json")
        return AutoConfig.from_pretrained(folder)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder, wrong, ropes = sys.argv[1], 0, set()
    pairs = sorted(os.listdir(folder), key=int)
    for pair in pairs:
        ours = read(f"{folder}/{pair}/ours.json")
        complaints = different_settings(ours, read(f"{folder}/{pair}/theirs.json"))
        ropes.add(json.dumps(settings(ours).get("rope_parameters") or settings(ours).get("rope_scaling"), sort_keys=True))
        wrong += bool(complaints)
        for complaint in complaints:
            print(f"  {pair}: {complaint}")
    print(f"transformers {transformers.__version__:8} {len(pairs)} configs, {len(ropes)} kinds of rotary positions, {wrong} wrong")
    return 1 if wrong or len(ropes) < 3 else 0


if __name__ == "__main__":
    sys.exit(main())
