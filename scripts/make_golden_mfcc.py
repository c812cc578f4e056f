"""Makes tests/golden/mfcc: features of a made-up vowel by other people's code: the Kaldi-compatible filter bank of transformers'
audio_utils (which its feature extractors use where torchaudio is missing), NumPy's Fourier transform of the mirrored bands for the
cosine transform, and NumPy's least squares for the deltas, which are slopes of straight lines through five frames.

Run it in the environment `models`: $(scripts/python_env.sh models) scripts/make_golden_mfcc.py [FOLDER]

expected.safetensors holds samples f32 [10321] in [-1, 1) at 16 kHz and features f64 [63, 39]: 13 cepstra, deltas, their deltas."""
import os
import sys

import numpy
import safetensors.numpy
from transformers import audio_utils


def vowel(samples):
    t = numpy.arange(samples) / 16000
    x = numpy.random.default_rng(20240404).uniform(-0.05, 0.05, samples) + 0.01  # an offset, which must not matter
    for harmonic in range(1, 30):
        pitch = harmonic * (110 * t + 20 * t * t)
        x += 0.2 / harmonic * numpy.sin(2 * numpy.pi * pitch) * numpy.exp(-((harmonic * 110 - 700) / 600) ** 2)
    x[4000:5200] *= 1e-3  # a stop
    return x.astype(numpy.float32)


def cosine_transform(x):
    n = x.shape[1]
    k = numpy.arange(n)
    mirrored = numpy.fft.fft(numpy.concatenate([x, x[:, ::-1]], axis=1), axis=1)[:, :n]
    return (mirrored * numpy.exp(-0.5j * numpy.pi * k / n)).real / 2 * numpy.sqrt(numpy.where(k == 0, 1, 2) / n)


def slopes(x):
    padded = numpy.pad(x, ((2, 2), (0, 0)), mode="edge")
    return numpy.stack([numpy.polyfit(numpy.arange(5), padded[t:t + 5], 1)[0] for t in range(len(x))])


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "golden")
    samples = vowel(10321)
    filters = audio_utils.mel_filter_bank(256, 23, 20, 8000, 16000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True)
    bands = audio_utils.spectrogram(
        samples.astype(numpy.float64), audio_utils.window_function(400, "povey", periodic=False), frame_length=400, hop_length=160,
        fft_length=512, power=2.0, center=False, preemphasis=0.97, mel_filters=numpy.pad(filters, ((0, 1), (0, 0))),
        mel_floor=numpy.finfo(numpy.float32).eps, log_mel="log", remove_dc_offset=True, dtype=numpy.float64).T
    cepstra = cosine_transform(bands)[:, :13]
    cepstra *= 1 + 11 * numpy.sin(numpy.pi * numpy.arange(13) / 22)  # Kaldi's lifter of 22
    deltas = slopes(cepstra)
    folder = os.path.join(out, "mfcc")
    os.makedirs(folder, exist_ok=True)
    safetensors.numpy.save_file({"samples": samples, "features": numpy.concatenate([cepstra, deltas, slopes(deltas)], axis=1)},
                                os.path.join(folder, "expected.safetensors"), metadata={"format": "pt"})
    print(f"mfcc: {cepstra.shape[0]} frames, c[0] of the first {cepstra[0, 0]:.6f}")


if __name__ == "__main__":
    main()
