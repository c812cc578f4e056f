"""Does transformers read an exported tokenizer as sentencepiece reads its model?

check_tokenizer.py FOLDER... : each a folder with spiece.model, tokenizer.json, tokenizer_config.json. Ids are compared on
10,000 awkward lines, decoding with sentencepiece's and with the line itself. Run it in the environments tokenizers4 and
tokenizers5 (scripts/python_env.sh). Exits 1 on any difference."""
import json
import os
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


def beside_a_config(folder, model_type):
    """A copy of the folder as an export has it: some transformers choose the class by the model's type."""
    copy = tempfile.TemporaryDirectory()
    for name in os.listdir(folder):
        if name != "config.json":
            os.symlink(os.path.abspath(f"{folder}/{name}"), f"{copy.name}/{name}")
    with open(f"{copy.name}/config.json", "w") as file:
        json.dump({"model_type": model_type, "bos_token_id": 2, "eos_token_id": 3}, file)
    return copy


def check(folder, lines):
    """Prints a line and returns the number of differences."""
    reference = Reference(folder)
    wrong_ids = wrong_text = pieces = round_trips = 0
    for model_type in ("gpt_neox", "gpt2"):
        with beside_a_config(folder, model_type) as copy:
            tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
        expected = [reference.encode(line) for line in lines]
        for line, ids, want in zip(lines, tokenizer(lines, add_special_tokens=False)["input_ids"], expected):
            pieces += len(want)
            if ids != want:
                wrong_ids += 1
                if wrong_ids <= 5:
                    at = next((i for i, (a, b) in enumerate(zip(ids, want)) if a != b), min(len(ids), len(want)))
                    print(f"  ids differ at {at}: {ids[at:at + 6]} and not {want[at:at + 6]} in {line[:60]!r}")
            text = tokenizer.decode(want)
            round_trips += text == line
            if text != reference.decode(want):
                wrong_text += 1
                if wrong_text <= 5:
                    print(f"  decoded to {text[:60]!r} and not {reference.decode(want)[:60]!r}")
        for name in ("bos", "eos", "unk", "pad"):
            own, theirs = getattr(tokenizer, f"{name}_token_id"), getattr(reference.model, f"{name}_id")()
            if theirs >= 0 and own != theirs:
                wrong_ids += 1
                print(f"  {name} is {own} and not {theirs}")
    print(f"transformers {transformers.__version__:8} {os.path.basename(folder):24} {2 * len(lines)} lines {pieces} pieces: "
          f"{wrong_ids} wrong ids, {wrong_text} wrong texts, {round_trips} lines come back whole")
    return wrong_ids + wrong_text


def main():
    folders = sys.argv[1:]
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    lines = awkward_text.lines(10000)
    return 1 if sum(check(folder.rstrip("/"), lines) for folder in folders) else 0


if __name__ == "__main__":
    sys.exit(main())
