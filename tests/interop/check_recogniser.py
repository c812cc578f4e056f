"""A recogniser of Hinoki in transformers: check_recogniser.py PROGRAM SNAPSHOT WAV...

Opens the snapshot as HubertForCTC and Wav2Vec2Processor: no key missing or unexpected, and greedy decoding there gives the
text of `hinoki transcribe`, of every recording that has one. The recordings (16 bits) are brought to 16 kHz here, so that
both hear the same samples. Run it in the environment `models`. Exits 1 on any difference."""
import array
import json
import os
import subprocess
import sys
import tempfile
import wave

import torch
import transformers.models.hubert.modeling_hubert as modeling
from transformers import HubertForCTC, Wav2Vec2Processor

import hinoki_program

RATE = 16000


def at_16_khz(path):
    """The mean of so many neighbours each: no good filter, but a sound that still speaks."""
    with wave.open(path) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1 and file.getframerate() % RATE == 0, path
        by, samples = file.getframerate() // RATE, array.array("h", file.readframes(file.getnframes()))
    return array.array("h", (sum(samples[i:i + by]) // by for i in range(0, len(samples) - by + 1, by)))


def main():
    hinoki_program.quiet()
    modeling.is_fsdp_managed_module = lambda module: False  # Debian's PyTorch lacks the module that it would ask
    program, snapshot, recordings = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not recordings:
        sys.exit("check_recogniser: there are no recordings to compare")
    processor = Wav2Vec2Processor.from_pretrained(snapshot)
    model, loading = HubertForCTC.from_pretrained(snapshot, output_loading_info=True)
    wrong = [key for key, found in loading.items() if found]
    if wrong:
        sys.exit(f"check_recogniser: {loading}")
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        sounds = {}
        for number, recording in enumerate(recordings):
            sounds[f"{number}.wav"] = samples = at_16_khz(recording)
            with wave.open(f"{folder}/{number}.wav", "wb") as file:
                file.setparams((1, 2, RATE, len(samples), "NONE", ""))
                file.writeframes(samples.tobytes())
        lines = subprocess.run([program, "transcribe", snapshot, folder, "--format", "json"], check=True,
                               capture_output=True, text=True).stdout.splitlines()
    ours = {os.path.basename(said["path"]): said["text"] for said in map(json.loads, lines)}
    different = spoken = 0
    for name, samples in sounds.items():
        sound = torch.tensor(samples, dtype=torch.float32).numpy() / 32768
        with torch.no_grad():
            inputs = processor(sound, sampling_rate=RATE, return_tensors="pt")
            logits = model(inputs.input_values).logits
        theirs = processor.batch_decode(logits.argmax(-1))[0]  # skip_special_tokens drops blanks before it merges repeats
        for special in ("<s>", "</s>", "<unk>"):
            theirs = theirs.replace(special, "")
        spoken += theirs != ""
        if theirs != ours.get(name):
            different += 1
            print(f"check_recogniser: {name}: transformers reads {theirs!r}, hinoki {ours.get(name)!r}", file=sys.stderr)
    if spoken < len(sounds) / 2:
        sys.exit(f"check_recogniser: only {spoken} of {len(sounds)} recordings have a text to compare")
    print(f"check_recogniser: {len(sounds)} recordings, {different} read differently")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
