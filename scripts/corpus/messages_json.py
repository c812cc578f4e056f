"""Interface messages kept as one flat JSON object (MediaWiki): the values."""
import json
import re

from clean import decode, unwrap

WIKI = re.compile(r"\{\{[^{}]*\}\}|</?[A-Za-z][^<>]{0,80}>|'{2,}")
LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]]*)\]\]")


def extract(raw):
    table = json.loads(decode(raw))
    values = [value for key, value in table.items() if isinstance(value, str) and not key.startswith("@")]
    return [unwrap(line) for value in values for line in LINK.sub(r"\1", WIKI.sub("", value)).split("\n")]
