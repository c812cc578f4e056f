"""Questions and answers, and preferences between answers, out of manual pages and dictionaries: chat.py CORPUS OUTDIR [WORDS]

CORPUS is what build.sh made, WORDS what words.sh made. Writes OUTDIR/{instructions,preferences}/{train,heldout}.jsonl: a
page, a word or a sentence, with all that is asked about it, is in one of the two. Instructions have `instruction`, `input`,
`output`; preferences have `prompt`, `chosen`, `rejected` and `kind`, what is wrong with the rejected one. All of it is a
function of the inputs alone. The texts have the licences of their packages (.licences of CORPUS and WORDS)."""
import glob
import hashlib
import json
import os
import re
import sys

import word_questions

NAME = re.compile(r"^([A-Za-z0-9_.+-]+)(?:, [A-Za-z0-9_.+, -]+)? - (.{4,120})$")
KANA = re.compile(r"[ぁ-んァ-ン]")
MOST = 6000  # instructions of one form
HELD_OUT = 0.1


def number(*parts):
    """A number that depends on these texts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def pages(folder):
    """(source, name, what it is for, its sentences) of every page whose first lines say what it is."""
    for path in sorted(glob.glob(f"{folder}/*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                lines = record["text"].split("\n")
                found = next((m for m in map(NAME.match, lines[:6]) if m and KANA.search(m.group(2))), None)
                if found:
                    sentences = [s for s in lines if 30 <= len(s) <= 120 and s.endswith("。") and KANA.search(s) and "。" not in s[:-1]]
                    yield record.get("source", path), found.group(1), found.group(2).rstrip("。"), sentences


def page_questions(name, purpose, sentences):
    yield "what", f"{name} は何ですか。", "", f"{name} は「{purpose}」ものです。"
    yield "which", "次の説明に合うものの名前を答えてください。", purpose, f"それは {name} です。"
    for sentence in sentences[:6]:
        cut = sentence.rfind("、", 8, len(sentence) - 8)
        if cut > 0:
            yield "continue", "次の文の続きを書いてください。", sentence[:cut + 1], sentence[cut + 1:].strip()


def questions(corpus, words):
    """(form, what it is about, source, instruction, input, answer)"""
    for source, name, purpose, sentences in pages(corpus):
        for form, *question in page_questions(name, purpose, sentences):
            yield form, source, source, *question
    if words:
        yield from word_questions.read(f"{words}/words.jsonl")


def rejected(question, answer, other):
    """(what is wrong, an answer that is worse) in one of four ways."""
    ways = {
        "other": other,                              # of another question
        "cut": answer[:max(2, len(answer) // 2)],    # in the middle
        "repeated": answer + answer,
        "rude": re.sub(r"です。$", "だ。", re.sub(r"ものです。$", "ものだ。", answer)),
    }
    kinds = [kind for kind, text in ways.items() if text.strip() and text != answer]
    kind = kinds[number("way", question) % len(kinds)]
    return kind, ways[kind]


def main():
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    corpus, out, words = (*sys.argv[1:], None)[:3]
    if words and not os.path.exists(f"{words}/words.jsonl"):
        print(f"{words}: holds no words.jsonl; scripts/corpus/words.sh makes it", file=sys.stderr)
        return 3
    forms, asked = {}, set()
    for form, about, source, instruction, given, answer in questions(corpus, words):
        if (instruction, given) not in asked:
            asked.add((instruction, given))
            forms.setdefault(form, []).append((number("order", source, instruction, given), about, source, instruction, given, answer))
    if "what" not in forms:
        print(f"{corpus}: holds no manual pages; scripts/corpus/build.sh makes a corpus of them", file=sys.stderr)
        return 3
    counts = {}
    files = {}
    for kind in ("instructions", "preferences"):
        os.makedirs(f"{out}/{kind}", exist_ok=True)
        for split in ("train", "heldout"):
            files[kind, split] = open(f"{out}/{kind}/{split}.jsonl", "w", encoding="utf-8")

    def write(kind, split, record):
        files[kind, split].write(json.dumps(record, ensure_ascii=False) + "\n")
        counts[kind, split] = counts.get((kind, split), 0) + 1

    for form in sorted(forms):
        chosen = sorted(forms[form])[:MOST]
        # The answer to another question of the same split: nothing of what is held out is seen in training.
        split_of = ["heldout" if number("split", about) % 1000 < 1000 * HELD_OUT else "train" for _, about, *_ in chosen]

        def other_answer(i):
            after = (j % len(chosen) for j in range(i + 1, i + len(chosen) + 1))
            return chosen[next(j for j in after if split_of[j] == split_of[i])][-1]

        for i, (_, _, source, instruction, given, answer) in enumerate(chosen):
            split = split_of[i]
            write("instructions", split, {"instruction": instruction, "input": given, "output": answer, "source": source})
            question = instruction + ("\n" + given if given else "")
            kind, worse = rejected(question, answer, other_answer(i))
            write("preferences", split, {"prompt": question, "chosen": answer, "rejected": worse, "kind": kind, "source": source})
    for file in files.values():
        file.close()
    for (kind, split), count in sorted(counts.items()):
        print(f"{out}/{kind}/{split}.jsonl: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
