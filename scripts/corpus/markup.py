"""HTML, DocBook and Mallard: the text between the tags, one line per block element."""
import html
import re

from clean import decode, unwrap

BLOCKS = frozenset((
    # HTML
    "address article blockquote body br caption center dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6 "
    "hr html legend li main ol option p pre section select summary table tbody td tfoot th thead tr ul "
    # DocBook and Mallard
    "abstract appendix book bridgehead chapter desc entry example formalpara glossdef glossterm item itemizedlist "
    "listitem note orderedlist page para procedure programlisting row screen sect1 sect2 sect3 sect4 simpara step steps "
    "substeps subtitle synopsis terms term tip title titleabbrev variablelist varlistentry warning").split())
SKIPPED = frozenset((
    "aside button footer head header nav noscript script style svg textarea template "
    "credit indexterm legalnotice revision revhistory authorgroup copyright publisher media").split())
VERBATIM = frozenset(("pre", "programlisting", "screen", "synopsis"))
TOKEN = re.compile(r"<!--.*?-->|<!\[CDATA\[(.*?)\]\]>|<[!?][^>]*>|<(/?)([A-Za-z][\w.:-]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.S)
RAW_TEXT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.S | re.I)
# Navigation; and of the spellings that LibreOffice's help carries side by side, a reader sees one.
UNSEEN = re.compile(r"class=\"(?:MAC|headerlink|noprint|navheader|navfooter|nav|sphinxsidebar|related)\""
                    r"|rel=\"(?:previous|prev|next|up)\"")


class Blocks:
    def __init__(self):
        self.lines, self.parts, self.verbatim = [], [], 0

    def add(self, text):
        if text:
            self.parts.append(html.unescape(text))

    def end(self):
        text = "".join(self.parts)
        self.parts = []
        for line in text.split("\n") if self.verbatim else [text]:
            line = unwrap(line)
            if line:
                self.lines.append(line)


def extract(raw):
    text = RAW_TEXT.sub("", decode(raw))
    blocks, position = Blocks(), 0
    skipped, depth = None, 0  # inside an element that no one reads; nested ones of its name are counted
    for token in TOKEN.finditer(text):
        if not skipped:
            blocks.add(text[position:token.start()])
        position = token.end()
        cdata, closing, name, attributes = token.groups()
        if name is None:
            if cdata and not skipped:
                blocks.parts.append(cdata)
            continue
        name = name.lower().rpartition(":")[2]
        empty = attributes.endswith("/") or name in ("br", "hr", "img", "meta", "link", "input", "col")
        if skipped:
            if name == skipped and not empty:
                depth += -1 if closing else 1
                if depth == 0:
                    skipped = None
            continue
        if not closing and not empty and (name in SKIPPED or UNSEEN.search(attributes)):
            if name != "span" and name != "a":
                blocks.end()
            skipped, depth = name, 1
        elif name in BLOCKS:
            blocks.end()
            if name in VERBATIM and not empty:
                blocks.verbatim = max(0, blocks.verbatim + (-1 if closing else 1))
    if not skipped:
        blocks.add(text[position:])
    blocks.end()
    return blocks.lines
