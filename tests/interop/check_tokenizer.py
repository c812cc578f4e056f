"""Does transformers read an exported tokenizer as sentencepiece reads its model?

check_tokenizer.py FOLDER... : each a folder of Hinoki. In every way that its model card tells to load it, ids are compared on
10,000 awkward lines, and decoding with sentencepiece's. Run it in the environments tokenizers4 and tokenizers5
(scripts/python_env.sh). Exits 1 on any difference."""
import json
import os
import re
import sys
import tempfile

import sentencepiece
import transformers

import awkward_text

NEWLINE_SYMBOL = "<NL>"


class Reference:
    """sentencepiece, with newlines as Hinoki writes them: a piece of their own, or the symbol <NL>."""

    def __init__(self, folder):
        self.model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/spiece.model")
        known = {self.model.id_to_piece(i) for i in range(self.model.get_piece_size())}
        self.symbol = "\n" not in known and NEWLINE_SYMBOL in known

    def encode(self, text):
        return self.model.encode(text.replace("\n", NEWLINE_SYMBOL) if self.symbol else text)

    def decode(self, ids):
        text = self.model.decode(ids)
        return text.replace(NEWLINE_SYMBOL, "\n") if self.symbol else text


def ways(folder):
    """The names of the classes by which the card's Python code loads the tokenizer."""
    with open(f"{folder}/README.md", encoding="utf-8") as file:
        code = "".join(re.findall(r"```python\n(.*?)```", file.read(), re.S))
    lines = [line for line in code.split("\n") if line.startswith("tokenizer = ")]
    found = re.findall(r"\b\w*Tokenizer\w*", "".join(lines))
    if len(lines) != 1 or not {"PreTrainedTokenizerFast", "AutoTokenizer"} <= set(found):
        raise SystemExit(f"{folder}/README.md tells to load the tokenizer by {found}")
    return found


def beside_a_config(folder, model_type):
    """A copy of the folder beside a model of a type: by that, some transformers choose AutoTokenizer's class."""
    copy = tempfile.TemporaryDirectory()
    for name in os.listdir(folder):
        if name != "config.json":
            os.symlink(os.path.abspath(f"{folder}/{name}"), f"{copy.name}/{name}")
    with open(f"{copy.name}/config.json", "w") as file:
        json.dump({"model_type": model_type, "bos_token_id": 2, "eos_token_id": 3}, file)
    return copy


def differences(tokenizer, reference, lines, expected):
    """What is not the same, in words; the texts are those of the ids that sentencepiece gives."""
    for line, ids, (want, _) in zip(lines, tokenizer(lines, add_special_tokens=False)["input_ids"], expected):
        if ids != want:
            at = next((i for i, (a, b) in enumerate(zip(ids, want)) if a != b), min(len(ids), len(want)))
            yield f"ids differ at {at}: {ids[at:at + 6]} and not {want[at:at + 6]} in {line[:60]!r}"
    for line in lines[:100]:  # nothing is put before or behind it
        if tokenizer(line)["input_ids"] != tokenizer(line, add_special_tokens=False)["input_ids"]:
            yield f"special tokens are added to {line[:60]!r}"
    for ids, text in expected:
        if tokenizer.decode(ids) != text:
            yield f"decoded to {tokenizer.decode(ids)[:60]!r} and not {text[:60]!r}"
    for name in ("bos", "eos", "unk", "pad"):
        own, theirs = getattr(tokenizer, f"{name}_token_id"), getattr(reference.model, f"{name}_id")()
        if (-1 if own is None else own) != theirs:
            yield f"{name} is {own} and not {theirs}"


def check(folder, lines):
    """Prints a line for each way to load and returns the number of differences."""
    reference, wrong = Reference(folder), 0
    expected = [(ids, reference.decode(ids)) for ids in map(reference.encode, lines)]
    pieces, whole = sum(len(ids) for ids, _ in expected), sum(text == line for line, (_, text) in zip(lines, expected))
    for way in ways(folder):
        types = ("gpt_neox", "gpt2") if way == "AutoTokenizer" else ("gpt_neox",)
        for model_type in types:
            with beside_a_config(folder, model_type) as copy:
                found = list(differences(getattr(transformers, way).from_pretrained(copy), reference, lines, expected))
            wrong += len(found)
            for complaint in found[:5]:
                print(f"  {complaint}")
            print(f"transformers {transformers.__version__:8} {os.path.basename(folder):24} {way} of a {model_type}: {len(lines)} lines, "
                  f"{pieces} pieces, {len(found)} differences; {whole} lines come back whole")
    return wrong


def main():
    folders = sys.argv[1:]
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    lines = awkward_text.lines(10000)
    return 1 if sum(check(folder.rstrip("/"), lines) for folder in folders) else 0


if __name__ == "__main__":
    sys.exit(main())
