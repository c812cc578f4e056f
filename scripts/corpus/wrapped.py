"""Plain text with wrapped lines, Texinfo's info files included: one line per paragraph."""
import re

from clean import decode, unwrap

NODE = re.compile(r"^File: .*$|^\x1f.*$|^\* .*::[^\n]*$", re.M)  # node headers and menus
RULER = re.compile(r"^[ \t]*([*=.~^\-\u2500])\1{2,}[ \t]*$", re.M)
OBJECT_NUMBER = re.compile(r"^\u300c\d+\u300d$", re.M)  # SiSU numbers its paragraphs
ITEM = re.compile(r"^[ \t]*(?:[*\u2022\u30fb\u25cb\u25cf-] |\(?\d+[.)] )")


def extract(raw):
    text = decode(raw).split("\x1f\nTag Table:")[0].split("\x1f\nIndirect:")[0]
    for noise in (NODE, RULER, OBJECT_NUMBER):
        text = noise.sub("", text)
    lines, paragraph, indent = [], [], 0

    def end():
        if paragraph:
            lines.append(unwrap("\n".join(paragraph)))
            paragraph.clear()

    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            end()
            continue
        if ITEM.match(line) or (paragraph and depth > indent and not ITEM.match(paragraph[0])):
            end()
        if not paragraph:
            indent = depth
        paragraph.append(line)
    end()
    return lines
