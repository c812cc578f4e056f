"""Novels in Aozora Bunko's mark-up: ruby and editor's notes are dropped, one line per paragraph."""
import re

from clean import decode

RUBY = re.compile(r"\u300a[^\u300b\n]*\u300b|\uff5c")
NOTE = re.compile(r"\uff3b\uff03[^\uff3d\n]*\uff3d|\u203b")
SENTENCE = re.compile(r"(?<=[\u3002\uff01\uff1f])(?![\u300d\u300f\uff09])")
MAX_PARAGRAPH = 2000  # characters; one of the editions keeps a chapter on a line
COLOPHON = re.compile(r"^\u5e95\u672c[\uff1a:]", re.M)


def extract(raw):
    text = decode(raw)
    colophon = COLOPHON.search(text)
    if colophon:
        text = text[:colophon.start()]
    lines = []
    for line in text.split("\n"):
        line = NOTE.sub("", RUBY.sub("", line)).strip(" \u3000\r")
        lines.extend(SENTENCE.split(line) if len(line) > MAX_PARAGRAPH else [line])
    return lines
