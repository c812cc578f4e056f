"""Fetches a dictionary of Japanese and English, one of Japanese, and sentences with their readings: words.py OUTDIR

Writes OUTDIR/words.jsonl, which chat.py asks about, and manifest.json; licences lie in OUTDIR/.licences. What a mirror no
longer has costs a warning; nothing at all is an error. The same packages give the same bytes. Run it through words.sh."""
import argparse
import hashlib
import json
import os
import sys

import anthy
import build
import dictionaries
from apt import Apt, AptError, sha256
from packages import Source

SOURCES = [
    Source("edict", [(r"^usr/share/edict/edict$", dictionaries.edict)], "CC-BY-SA-3.0, by name the EDRDG"),
    Source("skkdic", [(r"^usr/share/skk/SKK-JISYO\.L$", dictionaries.skk)], "GPL-2+"),
    Source("anthy", [(r"corpus/corpus\.[135]\.txt$", anthy.pairs)], "LGPL-3+ or GPL", True),
]
KEYS = {"edict": ("word", "reading", "english"), "skkdic": ("word", "note"), "anthy": ("kana", "sentence")}


def records(source, paths):
    """What a package holds, each once and in the order of its text."""
    found = {item for path in paths for _, items in build.texts(source, path) for item in items}
    for item in sorted(found, key=lambda item: [part or "" for part in item]):
        yield {key: value for key, value in zip(KEYS[source.name], item) if value} | {"source": source.name}


def fetch(apt, source):
    """(version, paths) of a package, or None."""
    if source.source_package:
        return apt.download_source(source.name)
    wanted = apt.available([source.name])
    paths = apt.download(wanted)
    return (wanted[source.name]["version"], [paths[source.name]]) if source.name in paths else None


def main():
    parser = argparse.ArgumentParser(description="Fetch words and sentences to ask about from Debian packages.")
    parser.add_argument("outdir")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages now, not once a day")
    options = parser.parse_args()
    out = os.path.abspath(options.outdir)
    os.makedirs(f"{out}/.licences", exist_ok=True)
    apt = Apt(f"{out}/.debs/apt", f"{out}/.debs")
    apt.update(True, options.refresh)
    entries, digest = {}, hashlib.sha256()
    with open(f"{out}/words.jsonl.tmp", "w", encoding="utf-8") as file:
        for source in SOURCES:
            fetched = fetch(apt, source)
            if not fetched:
                entries[source.name] = {"warning": "not to be had from this machine's package sources"}
                print(f"warning: {source.name}: {entries[source.name]['warning']}", file=sys.stderr)
                continue
            version, paths = fetched
            count = 0
            for record in records(source, paths):
                line = json.dumps(record, ensure_ascii=False) + "\n"
                file.write(line)
                digest.update(line.encode())
                count += 1
            if not source.source_package:
                with open(f"{out}/.licences/{source.name}.copyright", "wb") as copy:
                    copy.write(build.copyright_of(paths[0]))
            entries[source.name] = {"version": version, "sha256": "+".join(map(sha256, paths)), "licence": source.licence,
                                    "records": count}
            print(f"{source.name:10} {version:16} {count:6} records")
    if not any(entry.get("records") for entry in entries.values()):
        print(f"nothing came out of {', '.join(entries)}", file=sys.stderr)
        return 3
    with open(f"{out}/manifest.json.tmp", "w", encoding="utf-8") as file:
        json.dump({"words_sha256": digest.hexdigest(), "packages": entries}, file, ensure_ascii=False, indent=1)
    for name in ("words.jsonl", "manifest.json"):
        os.replace(f"{out}/{name}.tmp", f"{out}/{name}")
    print(f"words {digest.hexdigest()[:16]} -> {out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AptError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
