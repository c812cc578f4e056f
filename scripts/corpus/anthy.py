"""Anthy's corpus: `|reading|of|it| |the|sentence|` per line, made by people."""
import re

from clean import decode

PAIR = re.compile(r"^[~!]?\|(.+)\| \|(.+)\|$")


def pairs(raw):
    """(reading, sentence) of every line."""
    for line in decode(raw).split("\n"):
        pair = PAIR.match(line.strip())
        if pair:
            yield pair.group(1).replace("|", ""), pair.group(2).replace("|", "")


def extract(raw):
    return [sentence for _, sentence in pairs(raw)]
