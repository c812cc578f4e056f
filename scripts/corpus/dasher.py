"""Dasher's training texts: novels turned into kana, a sentence per line. Its word and conversion marks are dropped."""
import re

from clean import decode

MARKS = re.compile(r"[>\uff5c|]")
SENTENCE = re.compile(r"(?<=[\u3002\uff01\uff1f])(?![\u300d\u300f\uff09])[\u3000 ]*")


def extract(raw):
    lines = []
    for line in decode(raw).split("\n"):
        lines.extend(part.strip(" \u3000") for part in SENTENCE.split(MARKS.sub("", line)))
    return lines
