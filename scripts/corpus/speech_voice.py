"""Open JTalk, unpacked beside the system: reads a sentence, and tells from its trace what it said and when.

One recorded speaker (the voice m001 of Nagoya Institute of Technology, CC-BY-3.0) becomes 36 by pitch, vocal tract and
speed. They share his prosody: error rates measured on them are optimistic."""
import glob
import itertools
import os
import re
import subprocess
import wave

PACKAGES = ["open-jtalk", "open-jtalk-mecab-naist-jdic", "libhtsengine1", "hts-voice-nitech-jp-atr503-m001"]
PITCHES, TRACTS, SPEEDS = (-4, 0, 4, 8), (0.50, 0.55, 0.60), (0.85, 1.0, 1.2)  # half-tones, all-pass constant, rate
UNSEEN = {(4, 0.50), (-4, 0.60)}  # whole cells of pitch and tract: speakers that are never trained on
VOICES = list(itertools.product(PITCHES, TRACTS, SPEEDS))
SEEN_VOICES = [v for v in VOICES if v[:2] not in UNSEEN]
UNSEEN_VOICES = [v for v in VOICES if v[:2] in UNSEEN]

LONGEST_PHONE, LONGEST_CLAUSE = 0.4, 26  # seconds, morae; beyond them the synthesiser has failed
PHONE = re.compile(r"^(\d+) (\d+) [^-]*-([^+]+)\+")
SMALL = set("ァィゥェォャュョヮ")


class VoiceError(RuntimeError):
    pass


def name_of(voice):
    return "p{:+d}-t{:.2f}-s{:.2f}".format(*voice)


class Synthesiser:
    def __init__(self, root):
        def one(pattern):
            found = sorted(glob.glob(f"{root}/{pattern}", recursive=True))
            if not found:
                raise VoiceError(f"the packages hold no {pattern}")
            return found[0]

        self.program, self.voice = one("usr/bin/open_jtalk"), one("usr/share/hts-voice/**/*.htsvoice")
        self.dictionary = os.path.dirname(one("var/lib/mecab/dic/open-jtalk/**/sys.dic"))
        self.environment = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(one("usr/lib/**/libHTSEngine.so.1")))

    def read(self, sentence, voice, path):
        """Writes path.wav and path.trace."""
        pitch, tract, speed = voice
        command = [self.program, "-x", self.dictionary, "-m", self.voice, "-fm", str(pitch), "-a", str(tract), "-r", str(speed),
                   "-ow", path + ".wav", "-ot", path + ".trace"]
        done = subprocess.run(command, input=sentence.encode(), env=self.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        if done.returncode != 0 or not os.path.exists(path + ".wav"):
            raise VoiceError(f"open_jtalk failed on {sentence}: {done.stderr.decode('utf-8', 'replace').strip()}")


def morae(kana):
    return sum(letter not in SMALL for letter in kana)


def understand(path):
    """(kana as spoken, [(begin, end, phone)] in seconds) of a trace, or None where the synthesiser failed."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    kana, phones, labels = "", [], False
    for line in lines:
        if line.startswith("[Output label]"):
            labels = True
        elif labels and (found := PHONE.match(line)):
            phones.append((int(found[1]) / 1e7, int(found[2]) / 1e7, found[3]))
        elif not labels and line.count(",") >= 11:
            fields = line.split(",")
            if fields[1] != "記号":
                kana += fields[9].replace("’", "")
            elif fields[2] in ("読点", "句点"):
                kana += "、"
        elif labels and not line:
            break
    if not phones or not re.fullmatch(r"[ァ-ヴー、]+", kana):
        return None
    if any(end - begin > LONGEST_PHONE for begin, end, phone in phones if phone not in ("sil", "pau")):
        return None
    if max(morae(clause) for clause in kana.split("、")) > LONGEST_CLAUSE:
        return None
    return kana.strip("、"), phones


def seconds_of(path):
    with wave.open(path, "rb") as file:
        return file.getnframes() / file.getframerate()
