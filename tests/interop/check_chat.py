"""Does `apply_chat_template` of transformers say what `hinoki data chat` trains on?

check_chat.py PROGRAM FOLDER=TEMPLATE... : each a snapshot of recipe "sft", and the chat template it was trained with.
Conversations are prepared by `data chat`, and rendered by transformers with what the snapshot's tokenizer_config.json
says. All of them:

- as texts: what a prompt renders to, and then the answer, is how the whole conversation begins;
- as ids: the prompt of a first answer is what was learned before it, id by id; and so is every answer, and all that stands
  between two answers, each encoded by itself, as in data/chat_template.h.

transformers encodes a conversation of several turns as one text; where a piece of the vocabulary spans the border of an
answer, its ids are others. How often is told. Run it in the environments tokenizers4 and tokenizers5
(scripts/python_env.sh). Exits 1 on any difference."""
import json
import os
import struct
import subprocess
import sys
import tempfile

import transformers

QUESTIONS = ["猫は何ですか。", "次の文の続きを書いてください。\nファイルを", "ls -l\t<|im_end|> を 説明して", "ｶﾞｷﾞ㍿ e\u0301", "  空白  ", "円は ¥ です。"]
ANSWERS = ["動物です。", "一行目。\n\n三行目。", "The answer is 42.", "😀🙂"]


def conversations():
    """Every question with every answer, some with a system's turn before them, some with another round behind them."""
    for i, question in enumerate(QUESTIONS):
        for j, answer in enumerate(ANSWERS):
            turns = [("user", question), ("assistant", answer)]
            if (i + j) % 3 == 1:
                turns.insert(0, ("system", "丁寧に答えてください。"))
            if (i + j) % 2 == 1:
                turns += [("user", ANSWERS[i % 4]), ("assistant", QUESTIONS[j])]
            yield [{"role": role, "content": text} for role, text in turns]


def dataset(file, name, letter):
    """The numbers of an HDF5 dataset, by HDF5's own tool."""
    with tempfile.NamedTemporaryFile() as raw:
        subprocess.run(["h5dump", "-d", f"/{name}", "-b", "LE", "-o", raw.name, file], check=True, stdout=subprocess.DEVNULL)
        bytes_ = open(raw.name, "rb").read()
    return [number for number, in struct.iter_unpack("<" + letter, bytes_)]


def prepared(program, folder, template, records):
    """(ids, [(begin, end) of each answer]) of every record, as `data chat` writes them."""
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/in.jsonl", "w", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps({"messages": record}, ensure_ascii=False) + "\n")
        subprocess.run([program, "data", "chat", f"{work}/in.jsonl", "--tokenizer", folder, "--template", template, "--output",
                        f"{work}/out", "--validation-fraction", "0"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        file = f"{work}/out/train.h5"
        tokens, ends = dataset(file, "tokens", "H"), dataset(file, "example_ends", "q")
        answers, answer_ends = dataset(file, "answers", "i"), dataset(file, "answer_ends", "q")
    pairs = list(zip(answers[::2], answers[1::2]))
    return [(tokens[a:b], pairs[c:d]) for a, b, c, d in zip([0] + ends, ends, [0] + answer_ends, answer_ends)]


class Rendered:
    """What transformers makes of texts and conversations."""

    def __init__(self, folder):
        self.tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)  # as docs/chat.md says

    def text(self, turns, prompt=False):
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt)

    def ids(self, turns, prompt=False):
        found = self.tokenizer.apply_chat_template(turns, tokenize=True, add_generation_prompt=prompt)
        return list(found["input_ids"] if hasattr(found, "keys") else found)

    def encode(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def differences(rendered, turns, ids, answers):
    """What is not the same in a conversation, in words."""
    said = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    whole = rendered.text(turns)
    if len(said) != len(answers):
        yield f"{len(answers)} answers and not {len(said)}"
        return
    done, at = 0, 0  # so far, of the text and of the ids
    for number, (i, (begin, end)) in enumerate(zip(said, answers)):
        prompt = rendered.text(turns[:i], prompt=True)
        answer = turns[i]["content"]
        if not whole.startswith(prompt + answer):
            yield f"the prompt {prompt!r} and its answer do not begin {whole!r}"
            return
        if rendered.encode(prompt[done:]) != ids[at:begin]:
            yield f"ids before answer {number}, of {prompt[done:]!r}: {rendered.encode(prompt[done:])} and not {ids[at:begin]}"
        if number == 0 and rendered.ids(turns[:i], prompt=True) != ids[:begin]:
            yield f"ids of the prompt {prompt!r}"
        if rendered.encode(answer) != ids[begin:end]:
            yield f"ids of the answer {answer!r}: {rendered.encode(answer)} and not {ids[begin:end]}"
        done, at = len(prompt + answer), end
    if at != len(ids):
        yield f"{len(ids) - at} ids after the last answer"


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    program, wrong = sys.argv[1], 0
    for argument in sys.argv[2:]:
        folder, template = argument.rsplit("=", 1)
        rendered, asked = Rendered(folder), list(conversations())
        found = prepared(program, folder, template, asked)
        if transformers.AutoTokenizer.from_pretrained(folder).chat_template != rendered.tokenizer.chat_template:
            print(f"{argument}: AutoTokenizer has another template")
            return 1
        if len(found) != len(asked):
            print(f"{argument}: {len(found)} conversations and not {len(asked)}")
            return 1
        across = 0
        for turns, (ids, answers) in zip(asked, found):
            told = list(differences(rendered, turns, ids, answers))
            wrong += len(told)
            for line in told[:3]:
                print(f"  {line}")
            across += rendered.ids(turns)[:len(ids)] != ids
        print(f"{os.path.basename(folder)}, {template}: {len(asked)} conversations, {sum(len(a) for _, a in found)} answers in "
              f"transformers {transformers.__version__}; {across} have a piece that spans a border when encoded as one text")
    print(f"check_chat: {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
