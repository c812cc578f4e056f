"""Sentences that a synthesiser reads well: whole, of Japanese letters alone, with clauses of bounded length."""
import hashlib
import re

# Digits and Latin letters are left out: the reading of `32` or `ls` in a text is anybody's guess.
SENTENCE = re.compile(r"^[「『]?[ぁ-んァ-ヶー一-龠々、・「」『』]+。$")
HIRAGANA = re.compile(r"[ぁ-ん]")
SHORTEST, LONGEST = 8, 60  # characters
# A breath group of 28 morae and more comes out with phones of a constant half second; this many characters stay below
# that nearly always, and speech_voice.py drops the rest.
LONGEST_CLAUSE = 17


def sentences(lines):
    """The sentences of one document that can be read, in order."""
    for line in lines:
        for part in re.split(r"(?<=。)", line):
            part = re.sub(r"[\s　]", "", part)
            clauses = re.split(r"[、。]", part)
            if (SHORTEST <= len(part) <= LONGEST and SENTENCE.match(part) and len(HIRAGANA.findall(part)) >= 3
                    and max(map(len, clauses)) <= LONGEST_CLAUSE):
                yield part


def key(sentence):
    """A number in [0, 1) that follows from the sentence alone; sorting by it shuffles."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:7], "big") / 2 ** 56
