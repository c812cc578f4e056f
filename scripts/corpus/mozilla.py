"""Mozilla's message files: Fluent (.ftl) and Java-style .properties."""
import re

from clean import decode, unwrap

ENTRY = re.compile(r"^\s*(?:-?[A-Za-z][\w.-]*|\.[\w-]+)\s*=\s*(.*)$")
ATTRIBUTE_OF_CODE = re.compile(r"^\s*(?:\.(?:accesskey|style|key)|[\w.-]*(?:accesskey|commandkey|\.key))\s*=")
PLACE = re.compile(r"\{[^{}]*\}")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def extract(raw):
    lines, current = [], []

    def end():
        text = PLACE.sub("", " ".join(current))
        lines.append(unwrap(re.sub(r"<[^<>]{1,80}>", "", text)))
        current.clear()

    for line in decode(raw).split("\n"):
        if line.lstrip().startswith(("#", "!", "//")):
            continue
        entry = ENTRY.match(line)
        if entry or not line.strip():
            end()
            if entry and not ATTRIBUTE_OF_CODE.match(line):
                current.append(ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), entry.group(1)))
        elif line[:1] in " \t" and "[" not in line and current:
            current.append(line)
    end()
    return lines
