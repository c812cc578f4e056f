"""Makes a Japanese speech corpus: sentences of Debian's Japanese texts, read by Open JTalk in 36 voices.

Leaves OUTDIR/{train,unseen}.tsv (path, transcript, kana, id), wav/ (48 kHz, as the voice speaks), phones/ (begin, end and
name of each phone: exact, from the synthesiser) and manifest.json. The same packages give the same bytes. Files of a run
that was stopped are used again. Run it through speech.sh."""
import argparse
import hashlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time

import build
import speech_sentences
import speech_voice
from apt import Apt, AptError, sha256
from packages import FULL

CI_TEXTS = ["manpages-ja"]
TEXTS = CI_TEXTS + ["manpages-ja-dev", "libreoffice-help-ja", "debian-reference-ja", "groonga-doc", "anthy", "sentencepiece",
                    "lucene8"]
UNSEEN_SHARE = 0.08  # of the sentences, by their hash


def target_seconds(text):
    if text == "ci":
        return 720.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mh])", text)
    if not found or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not `ci`, minutes (30m) or hours (2h)")
    return float(found[1]) * {"m": 60, "h": 3600}[found[2]]


def fetch(apt, names):
    """({name: [paths]}, {name: facts}) of the packages that can be had."""
    sources = {source.name: source for source in FULL}
    wanted = apt.available([name for name in names if name not in sources or not sources[name].source_package])
    paths = {name: [path] for name, path in apt.download(wanted).items()}
    facts = {name: {"version": wanted[name]["version"], "sha256": wanted[name]["sha256"]} for name in paths}
    for name in names:
        if name not in paths and name in sources and sources[name].source_package and (fetched := apt.download_source(name)):
            facts[name] = {"version": fetched[0], "sha256": "+".join(sha256(path) for path in fetched[1])}
            paths[name] = fetched[1]
    return paths, facts


def unpack_voice(paths, out):
    """The synthesiser in a folder of its own, with the licences of its parts."""
    root = f"{out}/.voice"
    for name in speech_voice.PACKAGES:
        if name not in paths:
            raise AptError(f"the package {name} is not to be had; the voice is in Debian's contrib section")
        subprocess.run(["dpkg-deb", "--extract", paths[name][0], root], check=True)
    return speech_voice.Synthesiser(root)


def collect_sentences(paths):
    """All sentences, each once, in an order that follows from them alone."""
    found = set()
    for source in FULL:
        if source.name in paths:
            for path in paths[source.name]:
                for _, lines in build.texts(source, path):
                    found.update(speech_sentences.sentences(lines))
    return sorted(found, key=speech_sentences.key)


def jobs(sentences, out):
    """(split, id, sentence, voice) without an end: each pass over the sentences gives each another voice."""
    seen, unseen = speech_voice.SEEN_VOICES, speech_voice.UNSEEN_VOICES
    for turn in range(len(seen)):
        for number, sentence in enumerate(sentences):
            apart = int(speech_sentences.key(sentence) * 2 ** 20) % 1000 < 1000 * UNSEEN_SHARE
            voices = unseen if apart else seen
            if apart and turn >= len(unseen):
                continue
            voice = voices[(number + turn) % len(voices)]
            name = hashlib.sha256(sentence.encode()).hexdigest()[:12] + "-" + speech_voice.name_of(voice)
            yield "unseen" if apart else "train", name, sentence, voice, out


def read_aloud(job):
    """(job, seconds or None, kana): one utterance, unless a run before has made it."""
    _, name, sentence, voice, out = job
    folder = f"{out}/wav/{name[:2]}"
    path, labels = f"{folder}/{name}", f"{out}/phones/{name}.lab"
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(path + ".trace"):
        synthesiser.read(sentence, voice, path + ".part")
        os.replace(path + ".part.wav", path + ".wav")
        os.replace(path + ".part.trace", path + ".trace")  # last: with it the utterance is whole
    understood = speech_voice.understand(path + ".trace")
    if understood is None:
        return job, None, ""
    kana, phones = understood
    with open(labels + ".part", "w", encoding="utf-8") as file:
        file.writelines(f"{begin:.4f} {end:.4f} {phone}\n" for begin, end, phone in phones)
    os.replace(labels + ".part", labels)
    return job, speech_voice.seconds_of(path + ".wav"), kana


def start_worker(root):
    global synthesiser
    synthesiser = speech_voice.Synthesiser(root)


def make(sentences, target, out):
    """(rows of each manifest, seconds of each, dropped utterances): in order, until there is enough."""
    rows, seconds, dropped, said, began = {"train": [], "unseen": []}, {"train": 0.0, "unseen": 0.0}, 0, 0, time.time()
    os.makedirs(f"{out}/phones", exist_ok=True)
    with multiprocessing.Pool(os.cpu_count(), start_worker, (f"{out}/.voice",)) as pool:
        # In groups, for imap would run through jobs without an end ahead of what is taken.
        endless = jobs(sentences, out)
        while sum(seconds.values()) < target:
            group = [job for _, job in zip(range(4 * os.cpu_count()), endless)]
            if not group:
                break
            for (split, name, sentence, _, _), length, kana in pool.imap(read_aloud, group):
                if length is None:
                    dropped += 1
                elif sum(seconds.values()) < target:
                    rows[split].append(f"wav/{name[:2]}/{name}.wav\t{sentence}\t{kana}\t{name}\n")
                    seconds[split] += length
            if time.time() - said > 10:
                said, done = time.time(), sum(seconds.values())
                print(f"{done / 60:.1f} of {target / 60:.1f} minutes, {done / (said - began):.1f} times real time", file=sys.stderr)
    return rows, seconds, dropped


def write(path, text):
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description="Make a Japanese speech corpus with Open JTalk.")
    parser.add_argument("amount", help="ci (12 minutes), or minutes (30m) or hours (2h) of speech")
    parser.add_argument("outdir")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages now, not once a day")
    options = parser.parse_args()
    try:
        target = target_seconds(options.amount)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    out, ci = os.path.abspath(options.outdir), options.amount == "ci"
    apt = Apt(f"{out}/.debs/apt", f"{out}/.debs", contrib=True)
    apt.update(not ci, options.refresh)
    paths, facts = fetch(apt, speech_voice.PACKAGES + (CI_TEXTS if ci else TEXTS))
    unpack_voice(paths, out)
    sentences = collect_sentences(paths)
    if not sentences:
        raise AptError("none of the packages with texts is to be had")
    for name in set(TEXTS if not ci else CI_TEXTS) - set(paths):
        print(f"warning: {name} is not to be had; its sentences are missing", file=sys.stderr)

    began = time.time()
    rows, seconds, dropped = make(sentences, target, out)
    for split in rows:
        write(f"{out}/{split}.tsv", "path\ttranscript\tkana\tid\n" + "".join(rows[split]))
    digest = hashlib.sha256("".join(rows["train"] + rows["unseen"]).encode()).hexdigest()
    manifest = {"amount": options.amount, "synthetic": True, "voice": "m001, Nagoya Institute of Technology, CC-BY-3.0",
                "seconds": {split: round(value, 3) for split, value in seconds.items()},
                "utterances": {split: len(value) for split, value in rows.items()},
                "dropped": dropped, "sentences": len(sentences), "manifests_sha256": digest, "packages": facts}
    write(f"{out}/manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
    total, took = sum(seconds.values()), time.time() - began
    print(f"{options.amount}: {sum(map(len, rows.values()))} utterances, {total / 60:.1f} minutes ({seconds['unseen'] / 60:.1f} of "
          f"unseen voices), {dropped} dropped, of {len(sentences)} sentences; made in {took:.0f} s, {total / max(took, 1e-9):.1f} "
          f"times real time -> {out}")
    if total < target:
        print(f"warning: every sentence in every voice makes no more than {total / 3600:.1f} hours", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AptError, speech_voice.VoiceError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
