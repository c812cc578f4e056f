"""Manual pages: the text of roff source in the man and mdoc macro packages, one line per paragraph."""
import re

from clean import decode, unwrap

SYMBOLS = {
    "bu": "\u2022", "co": "\u00a9", "em": "\u2014", "en": "\u2013", "lq": "\u201c", "rq": "\u201d", "oq": "\u2018",
    "cq": "\u2019", "aq": "'", "dq": '"', "ga": "`", "ti": "~", "ha": "^", "rs": "\\", "mu": "\u00d7", "->": "\u2192",
    "<-": "\u2190", "<=": "\u2264", ">=": "\u2265", "+-": "\u00b1", "hy": "-", "mi": "-", "at": "@", "sh": "#", "Do": "$",
    "lB": "[", "rB": "]", "lC": "{", "rC": "}", "ba": "|", "or": "|", "sl": "/", "rg": "\u00ae", "tm": "\u2122",
}
NAMED = re.compile(r"\\\((..)|\\\[([^\]]*)\]")
DROPPED = re.compile(
    r"\\f(?:\(..|\[[^\]]*\]|.)|\\s[-+]?\(?[0-9]{1,2}|\\s[-+]?\[[^\]]*\]|\\[*n](?:\(..|\[[^\]]*\]|.)|\\[hvwoDlLNXbZ]'[^']*'"
    r"|\\[mM](?:\(..|\[[^\]]*\]|.)|\\k.|\\z|\\[&,/|^%:{}!cupdr]")
COMMENT = re.compile(r"\\[\"#].*$")
ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|(\S+)')

BREAKS = {"PP", "P", "LP", "RS", "RE", "br", "sp", "Pp", "Bl", "El", "Bd", "Ed", "in", "ti", "ce", "bp", "TH", "Dt", "D1", "Dl"}
HEADINGS = {"SH", "SS", "Sh", "Ss"}
PLAIN_FONTS = {"B", "I", "SM", "SB", "R", "b", "i"}
MIXED_FONTS = {"BR", "RB", "BI", "IB", "IR", "RI"}
LITERAL_ON = {"nf", "EX"}
LITERAL_OFF = {"fi", "EE"}
MDOC_INLINE = {
    "Nm", "Fl", "Ar", "Pa", "Xr", "Sy", "Em", "Li", "Dv", "Ev", "Ic", "Va", "Fn", "Sq", "Dq", "Ql", "Qq", "Pq", "Op", "Cm",
    "Nd", "No", "Tn", "Ux", "Bx", "Fx", "Nx", "Vt", "Ft", "Fa", "Er", "Ns", "Ad", "An", "Aq", "Bq", "Brq", "Cd", "Lb", "Lk",
    "Ms", "Mt", "Oo", "Oc", "Pf", "Po", "Pc", "So", "Sc", "Do", "Dc", "Qo", "Qc", "Xo", "Xc", "Sx", "St", "In", "Bsx", "Ox",
}
MDOC_QUOTES = {"Sq": ("\u2018", "\u2019"), "Dq": ("\u201c", "\u201d"), "Qq": ('"', '"'), "Ql": ("\u2018", "\u2019"),
               "Pq": ("(", ")"), "Op": ("[", "]"), "Aq": ("<", ">"), "Bq": ("[", "]")}


def unescape(text):
    text = COMMENT.sub("", text)
    text = text.replace("\\e", "\0").replace("\\\\", "\0")
    text = NAMED.sub(lambda match: SYMBOLS.get(match.group(1) or match.group(2), ""), text)
    text = DROPPED.sub("", text)
    text = re.sub(r"\\[ ~0t]", " ", text)
    return re.sub(r"\\(.)", r"\1", text).replace("\0", "\\")


def arguments(text):
    return [(quoted or bare).replace('""', '"') for quoted, bare in ARGUMENT.findall(COMMENT.sub("", text))]


def mdoc_inline(words):
    """The words of an mdoc line without its macro names; punctuation closes up."""
    out, opened = "", []
    for word in words:
        if word in MDOC_INLINE:
            if word in MDOC_QUOTES:
                before, after = MDOC_QUOTES[word]
                out += (" " if out else "") + before
                opened.append(after)
            elif word == "Fl":
                out += " -"
            continue
        closes = word in {".", ",", ";", ":", ")", "]", "?", "!"}
        out += word if closes or out.endswith(("-", "(", "[", "<", "\u2018", "\u201c")) or not out else " " + word
    return out + "".join(reversed(opened))


class Page:
    """Collects paragraphs while the requests of one page go by."""

    def __init__(self):
        self.lines, self.paragraph = [], []
        self.literal, self.tag_next, self.skip_until, self.table = False, False, None, None

    def end_paragraph(self):
        if self.paragraph:
            self.lines.append(unwrap("\n".join(self.paragraph)))
            self.paragraph = []

    def text(self, raw):
        starts_fresh = raw[:1] in " \t"  # roff breaks the line there
        line = unescape(raw)
        if self.literal or starts_fresh:
            self.end_paragraph()
        if line.strip():
            self.paragraph.append(line)
        else:
            self.end_paragraph()
        if self.literal or self.tag_next:
            self.end_paragraph()
        self.tag_next = False

    def table_row(self, raw):
        if self.table == "format":
            if raw.rstrip().endswith("."):
                self.table = "rows"
            return
        for cell in re.split(r"\t|T\{|T\}", raw):
            if cell.strip() and cell.strip() not in {"_", "="}:
                self.paragraph.append(unescape(cell))
        if not raw.rstrip().endswith("T{") and "T}" in raw or "\t" in raw:
            self.end_paragraph()

    def request(self, name, rest):
        words = arguments(rest)
        if name in {"de", "ig", "am", "de1"}:
            self.skip_until = "." + (words[1] if len(words) > 1 and name != "ig" else words[0] if name == "ig" and words else ".")
        elif name == "TS":
            self.end_paragraph()
            self.table = "format"
        elif name in LITERAL_ON | LITERAL_OFF:
            self.end_paragraph()
            self.literal = name in LITERAL_ON
        elif name in HEADINGS:
            self.end_paragraph()
            self.lines.append(unwrap(unescape(" ".join(words))))
        elif name in BREAKS:
            self.end_paragraph()
        elif name in {"TP", "TQ", "HP"}:
            self.end_paragraph()
            self.tag_next = name != "HP"
        elif name in {"IP", "It"}:
            self.end_paragraph()
            tag = mdoc_inline(words) if name == "It" else "".join(words[:1])
            if tag:
                self.lines.append(unwrap(unescape(tag)))
        elif name in PLAIN_FONTS and words:
            self.text(" ".join(words))
        elif name in MIXED_FONTS and words:
            self.text("".join(words))
        elif name in MDOC_INLINE:
            self.text(mdoc_inline([name] + words))

    def feed(self, raw):
        if self.skip_until is not None:
            if raw.startswith(self.skip_until):
                self.skip_until = None
        elif raw.startswith(".TE"):
            self.end_paragraph()
            self.table = None
        elif raw[:1] in ".'" and not raw.startswith("'''"):
            match = re.match(r"[.'][ \t]*(\w+)[ \t]*(.*)", raw)
            if match:
                self.request(*match.groups())
        elif self.table:
            self.table_row(raw)
        else:
            self.text(raw)


def extract(raw):
    page = Page()
    for line in decode(raw).splitlines():
        page.feed(line)
    page.end_paragraph()
    return page.lines
