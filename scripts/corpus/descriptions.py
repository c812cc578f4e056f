"""apt's Translation-ja index: package descriptions, one document per package."""
import re

from clean import decode, unwrap


def documents(raw):
    """(package, lines) for each stanza."""
    for stanza in re.split(r"\n\s*\n", decode(raw)):
        package = re.search(r"^Package: (\S+)", stanza, re.M)
        body = re.search(r"^Description-ja: (.*(?:\n .*)*)", stanza, re.M)
        if not package or not body:
            continue
        synopsis, *rest = body.group(1).split("\n")
        lines, paragraph = [unwrap(synopsis)], []
        for line in rest + [" ."]:
            if line == " ." or line.startswith("  "):  # a paragraph's end; two spaces mark a verbatim line or an item
                if paragraph:
                    lines.append(unwrap("\n".join(paragraph)))
                paragraph = [line] if line != " ." else []
            else:
                paragraph.append(line)
        yield package.group(1), lines
