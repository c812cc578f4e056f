"""Anthy's corpus: `|reading|of|it| |the|sentence|` per line; the sentence is kept."""
import re

from clean import decode

PAIR = re.compile(r"^[~!]?\|(.+)\| \|(.+)\|$")


def extract(raw):
    lines = []
    for line in decode(raw).split("\n"):
        pair = PAIR.match(line.strip())
        if pair:
            lines.append(pair.group(2).replace("|", ""))
    return lines
