"""EDICT and SKK's large dictionary: words with their readings, what they are in English, and notes on what they mean.

    辞書(P);字書 [じしょ(P)] /(n) (1) dictionary/lexicon/(2) (arch) letter of resignation/(P)/EntL1320390X/
    じせん /自薦;recommend oneself/自選;-詩集/次戦/"""
import re

ENTRY = re.compile(r"^(\S+)(?: \[(\S+)\])? /(.*)/$")
ASIDE = re.compile(r"\([^)]*\)")
LEADING = re.compile(r"^(?:\([^)]*\) )+")
SENSE = re.compile(r"(?:^|\) )\((\d+)\) ")
KANJI, HIRAGANA = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"^[\u3041-\u3096\u30fc]+$")
NOTE = re.compile(r"^[\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u4e00-\u9fff、。()]{6,40}$")  # no sign that refers, no letter
KANA_IN_NOTE = re.compile(r"[\u3041-\u3096]")
MOST_GLOSSES, LONGEST = 3, 60


def lines_of(raw):
    """Both are EUC-JP; lines that are not are left out."""
    return [line for line in raw.decode("euc_jp", errors="replace").split("\n") if "\ufffd" not in line]


def first_sense(glosses):
    """What a word means first, without the marks of grammar and use, or ""."""
    kept = []
    for gloss in glosses:
        number = SENSE.search(gloss)
        if number and number[1] != "1":
            break
        text = LEADING.sub("", gloss) if not kept else gloss
        if len(kept) < MOST_GLOSSES and text and text.isascii() and len(", ".join([*kept, text])) <= LONGEST:
            kept.append(text)
    return ", ".join(kept)


def edict(raw):
    """(word, reading or None, English) of common words. The reading is that of a word with kanji that has only one."""
    entries, readings = [], {}
    for line in lines_of(raw):
        found = ENTRY.match(line)
        if not found:
            continue
        heads, kana, meanings = found[1].split(";"), (found[2] or "").split(";"), found[3].split("/")
        for head in heads:
            readings.setdefault(ASIDE.sub("", head), set()).update(ASIDE.sub("", k) for k in kana)
        if "(P)" in meanings:
            english = first_sense([m for m in meanings if m != "(P)" and not m.startswith("EntL")])
            if english:
                entries.append((ASIDE.sub("", heads[0]), ASIDE.sub("", kana[0]), english))
    for word, reading, english in entries:
        sure = KANJI.search(word) and HIRAGANA.match(reading) and len(readings[word]) == 1
        yield word, reading if sure else None, english


def skk(raw):
    """(word, note) of the words that are explained in Japanese and not only compared with others."""
    for line in lines_of(raw):
        reading, _, rest = line.partition(" /")
        if line.startswith(";") or not HIRAGANA.match(reading):
            continue  # comments; what is inflected, abbreviated or written in letters
        for candidate in rest.strip("/").split("/"):
            word, _, note = candidate.partition(";")
            if NOTE.match(note) and KANA_IN_NOTE.search(note) and KANJI.search(note) and word not in note and not note.endswith("字"):
                yield word, note
