"""What every extractor shares: decoding, joining wrapped lines, and the rule that says which lines are Japanese prose."""
import re
import unicodedata

KANA = re.compile(r"[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9d]")
JAPANESE = re.compile(
    r"[\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d"
    r"\U00020000-\U0003ffff]")
# A line break between two of these is no space: Japanese is written without any.
WIDE = r"[\u2018-\u201d\u2026\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff9d]"
BREAK_IN_WIDE = re.compile(rf"(?<={WIDE})[ \t]*\n[ \t]*(?={WIDE})")
SPACES = re.compile(r"[ \t\n\r\f\v\u00a0]+")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\ufffd]")

MIN_KANA = 2
MIN_JAPANESE_SHARE = 0.3
MIN_CHARACTERS = 8


def decode(raw):
    """UTF-8 if it is, else the Japanese encodings older documents use; what no encoding explains becomes U+FFFD."""
    escapes = ("iso2022_jp",) if b"\x1b$" in raw else ()  # all ASCII, so UTF-8 would take it too
    for encoding in (*escapes, "utf-8-sig", "euc_jp", "cp932"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", errors="replace")


def unwrap(text):
    """One line from a wrapped paragraph: no space where the break stood between two Japanese characters."""
    return SPACES.sub(" ", BREAK_IN_WIDE.sub("", text.strip())).strip()


def is_prose(line):
    """At least 2 kana, 8 characters, and 30 % of the characters that are not spaces Japanese."""
    if len(line) < MIN_CHARACTERS or len(KANA.findall(line)) < MIN_KANA:
        return False
    visible = len(line) - line.count(" ") - line.count("\u3000")
    return len(JAPANESE.findall(line)) >= MIN_JAPANESE_SHARE * visible


def document(lines):
    """The lines worth keeping, in order, as one text. Composed (NFC), so that one word has one spelling."""
    kept = []
    for line in lines:
        if "\ufffd" in line:
            continue
        line = unicodedata.normalize("NFC", CONTROLS.sub("", line)).strip()
        if is_prose(line):
            kept.append(line)
    return "\n".join(kept)
