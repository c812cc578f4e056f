"""Builds a Japanese corpus from Debian packages: one JSONL file per package, one document per source file, a manifest.

Each line is {"text": ..., "source": "package/path"}. What a mirror no longer has costs a warning and a line in the
manifest; only an empty corpus is an error. Run it through build.sh."""
import argparse
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
import time
import zipfile

import descriptions
from apt import Apt, AptError, sha256
from clean import document
from packages import BUNDLES, DESCRIPTIONS

MAX_FILE = 64 << 20  # the largest file read whole; anything bigger is no document


def recipe_hash():
    """Of the extractors and the package list: another recipe rebuilds what an older one left."""
    here, digest = os.path.dirname(os.path.abspath(__file__)), hashlib.sha256()
    for name in sorted(os.listdir(here)):
        if name.endswith(".py") and not name.startswith(("test_", "speech")):
            with open(os.path.join(here, name), "rb") as file:
                digest.update(name.encode() + b"\0" + file.read())
    return digest.hexdigest()


def members(archive):
    """(path, bytes) of the regular files of a tar stream, those of jars and xpis inside as `outer!inner`; gz unpacked."""
    with archive:
        for entry in archive:
            path = entry.name.removeprefix("./")
            if not entry.isfile() or entry.size > MAX_FILE:
                continue
            yield path, lambda entry=entry: archive.extractfile(entry).read()


def open_package(path):
    """A tar stream over a .deb's files or a source tarball, and what to wait for at its end."""
    if not path.endswith(".deb"):
        return tarfile.open(path, "r:*"), None
    unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
    return tarfile.open(fileobj=unpack.stdout, mode="r|"), unpack


def finish(unpack, path):
    """Reads the padding behind the last file, so that dpkg-deb ends in peace, and believes the rest only if it did."""
    if unpack:
        while unpack.stdout.read(1 << 16):
            pass
        if unpack.wait() != 0:
            raise OSError(f"dpkg-deb could not unpack {path}")


def texts(source, path):
    """(path, lines) of every file of the package that a rule reads."""
    archive, unpack = open_package(path)
    for name, read in members(archive):
        if name.endswith((".jar", ".xpi")):
            with zipfile.ZipFile(io.BytesIO(read())) as inner:
                for info in inner.infolist():
                    inside = f"{name}!{info.filename}"
                    extract = source.reader_of(inside)
                    if extract and info.file_size <= MAX_FILE:
                        yield inside, extract(inner.read(info))
            continue
        extract = source.reader_of(name)
        if extract:
            raw = read()
            yield name, extract(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    finish(unpack, path)


def copyright_of(path):
    """The package's own copyright file, kept beside the corpus: licences differ from page to page."""
    archive, unpack = open_package(path)
    found = b""
    for name, read in members(archive):
        if name.startswith("usr/share/doc/") and name.endswith("/copyright"):
            found = read()
    finish(unpack, path)
    return found


def write_documents(path, name, documents):
    """Writes the documents that keep a line, sorted by path; returns their number and the text's bytes and hash."""
    count, size, digest = 0, 0, hashlib.sha256()
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        for source, lines in sorted(documents, key=lambda item: item[0]):
            text = document(lines)
            if not text:
                continue
            line = json.dumps({"text": text, "source": f"{name}/{source}"}, ensure_ascii=False) + "\n"
            file.write(line)
            digest.update(line.encode())
            count, size = count + 1, size + len(text.encode())
    os.replace(path + ".tmp", path)
    return {"documents": count, "bytes": size, "output_sha256": digest.hexdigest()}


def build_package(job):
    source, paths, out = job
    try:
        documents = [item for path in paths for item in texts(source, path)]
        entry = write_documents(f"{out}/{source.name}.jsonl", source.name, documents)
        if not source.source_package:
            with open(f"{out}/.licences/{source.name}.copyright", "wb") as file:
                file.write(copyright_of(paths[0]))
        if entry["documents"] == 0:
            os.remove(f"{out}/{source.name}.jsonl")
            entry["warning"] = "no Japanese text found; the package may have changed"
        return source.name, entry
    except Exception as error:  # whatever one package holds, the others still count
        return source.name, {"warning": f"not read: {type(error).__name__}: {error}"}


def build_descriptions(apt, out):
    text = apt.translation("ja")
    if text is None:
        return {"warning": "apt has no Japanese descriptions here"}
    entry = write_documents(f"{out}/{DESCRIPTIONS}.jsonl", DESCRIPTIONS, list(descriptions.documents(text)))
    return {"version": "apt index", "sha256": hashlib.sha256(text).hexdigest(),
            "licence": "as each package's control file; none stated separately", **entry}


def reuse(old, name, found, out, recipe):
    """The manifest entry of an earlier run, if the package, the recipe and the file it left are still the same."""
    entry = old.get("packages", {}).get(name)
    path = f"{out}/{name}.jsonl"
    if (old.get("recipe") == recipe and entry and entry.get("sha256") == found and "warning" not in entry
            and os.path.exists(path) and sha256(path) == entry["output_sha256"]):
        return entry
    return None


def collect(bundle, apt, out, old, recipe):
    """Builds every package of the bundle; returns {name: manifest entry}."""
    sources = {source.name: source for source in BUNDLES[bundle]}
    binaries = [name for name, source in sources.items() if not source.source_package]
    wanted = apt.available(binaries)
    paths = {name: [path] for name, path in apt.download(wanted).items()}
    entries, jobs = {}, []
    for name, source in sources.items():
        if source.source_package:
            fetched = apt.download_source(name)
            version, paths[name] = fetched or (None, None)
            digest = "+".join(sha256(path) for path in paths[name]) if fetched else None
        else:
            version, digest = wanted.get(name, {}).get("version"), wanted.get(name, {}).get("sha256")
        if not paths.get(name):
            entries[name] = {"warning": "not to be had from this machine's package sources"}
            continue
        entries[name] = reuse(old, name, digest, out, recipe) or {"version": version, "sha256": digest, "licence": source.licence}
        if "documents" not in entries[name]:
            jobs.append((source, paths[name], out))
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for name, entry in pool.imap_unordered(build_package, sorted(jobs, key=lambda job: -os.path.getsize(job[1][0]))):
            entries[name].update(entry)
    if bundle != "smoke":
        entries[DESCRIPTIONS] = build_descriptions(apt, out)
    return entries


def main():
    parser = argparse.ArgumentParser(description="Build a Japanese corpus from Debian packages.")
    parser.add_argument("bundle", choices=sorted(BUNDLES))
    parser.add_argument("outdir")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages now, not once a day")
    options = parser.parse_args()
    began, out = time.time(), os.path.abspath(options.outdir)
    os.makedirs(f"{out}/.licences", exist_ok=True)
    manifest_path, recipe = f"{out}/manifest.json", recipe_hash()
    try:
        with open(manifest_path, encoding="utf-8") as file:
            old = json.load(file)
    except (OSError, ValueError):
        old = {}
    apt = Apt(f"{out}/.debs/apt", f"{out}/.debs")
    apt.update(options.bundle == "full", options.refresh)
    entries = collect(options.bundle, apt, out, old, recipe)
    for name in old.get("packages", {}):
        if name not in entries and os.path.exists(f"{out}/{name}.jsonl"):
            os.remove(f"{out}/{name}.jsonl")  # of a bigger bundle built here before

    kept = {name: entry for name, entry in sorted(entries.items()) if entry.get("documents")}
    digest = hashlib.sha256("".join(f"{name} {entry['output_sha256']}\n" for name, entry in kept.items()).encode())
    manifest = {"bundle": options.bundle, "recipe": recipe, "corpus_sha256": digest.hexdigest(),
                "documents": sum(entry["documents"] for entry in kept.values()),
                "bytes": sum(entry["bytes"] for entry in kept.values()), "packages": dict(sorted(entries.items()))}
    with open(manifest_path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(manifest, file, ensure_ascii=False, indent=1)
    os.replace(manifest_path + ".tmp", manifest_path)

    for name, entry in sorted(entries.items(), key=lambda item: -item[1].get("bytes", 0)):
        if "warning" in entry:
            print(f"warning: {name}: {entry['warning']}", file=sys.stderr)
        else:
            print(f"{name:32} {entry['documents']:6} documents {entry['bytes'] / 1e6:8.2f} MB")
    if not kept:
        print(f"no text at all came out of the bundle '{options.bundle}'; see {manifest_path}", file=sys.stderr)
        return 3
    print(f"{options.bundle}: {manifest['documents']} documents, {manifest['bytes'] / 1e6:.2f} MB, "
          f"corpus {manifest['corpus_sha256'][:16]}, {time.time() - began:.0f} s -> {out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AptError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
