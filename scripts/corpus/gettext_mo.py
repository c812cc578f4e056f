"""gettext catalogues (.mo): the translations, without accelerators and mark-up."""
import re
import struct

from clean import decode, unwrap

ACCELERATOR = re.compile(r"[\(\uff08][_&~][A-Za-z0-9][\)\uff09]")
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,80}>")
PARAGRAPH = re.compile(r"\n[ \t]*\n")


def messages(raw):
    """(original, translation) of every entry; raises ValueError when the file is not a whole catalogue."""
    if len(raw) < 28:
        raise ValueError("too short for a .mo header")
    order = {0x950412DE: "<", 0xDE120495: ">"}.get(struct.unpack_from("<I", raw)[0])
    if order is None:
        raise ValueError("no .mo magic number")
    _, count, originals, translations = struct.unpack_from(order + "4I", raw, 4)
    if max(originals, translations) + 8 * count > len(raw):
        raise ValueError("the tables lie beyond the end of the file")

    def string(table, index):
        length, offset = struct.unpack_from(order + "2I", raw, table + 8 * index)
        if offset + length > len(raw):
            raise ValueError(f"string {index} lies beyond the end of the file")
        return raw[offset:offset + length]

    for index in range(count):
        yield string(originals, index), string(translations, index)


def extract(raw):
    lines = []
    for original, translation in messages(raw):
        if not original or original == translation:
            continue  # the header, or nothing translated
        text = TAG.sub("", ACCELERATOR.sub("", decode(translation.split(b"\0")[0])))
        lines.extend(unwrap(paragraph) for paragraph in PARAGRAPH.split(text))
    return lines
