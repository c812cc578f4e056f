"""LyX documents: the paragraphs (layouts) of the body and of its footnotes."""
import re

from clean import decode, unwrap

SPECIAL = re.compile(r"\\SpecialChar(?:NoPassThru)? ?(\\?\S+)")
SPECIAL_TEXT = {"LyX": "LyX", "TeX": "TeX", "LaTeX": "LaTeX", "LaTeX2e": "LaTeX2e", "ldots": "\u2026", "\\ldots{}": "\u2026",
                "menuseparator": " \u25b7 ", "\\menuseparator": " \u25b7 ", "endofsentence": ".", "breakableslash": "/",
                "nobreakdash": "-", "slash": "/"}
UNSEEN = {"Index", "ERT", "Note"}
QUOTES = {"l": "\u201c", "r": "\u201d"}


def extract(raw):
    lines = []
    stack = []  # of ("layout", [text...]) and ("inset", kind)
    for line in decode(raw).splitlines():
        if line.startswith("\\begin_layout"):
            stack.append(("layout", []))
        elif line.startswith("\\end_layout"):
            if stack and stack[-1][0] == "layout":
                paragraph = unwrap("".join(stack.pop()[1]))
                if paragraph and not any(kind in UNSEEN for name, kind in stack if name == "inset"):
                    lines.append(paragraph)
        elif line.startswith("\\begin_inset"):
            quote = re.match(r"\\begin_inset Quotes .(.)", line)
            if quote and stack and stack[-1][0] == "layout":
                stack[-1][1].append(QUOTES.get(quote.group(1), '"'))
            stack.append(("inset", line[13:].split(" ")[0]))
        elif line.startswith("\\end_inset"):
            if stack and stack[-1][0] == "inset":
                stack.pop()
        elif stack and stack[-1][0] == "layout":
            text = SPECIAL.sub(lambda match: SPECIAL_TEXT.get(match.group(1), ""), line)
            if text == "\\backslash":
                text = "\\"
            elif text.startswith("\\") and text == line:
                continue  # a change of font or language
            stack[-1][1].append(text)
    return lines
