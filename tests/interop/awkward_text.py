"""Lines that break tokenizers, the same ones every time."""
import random

HIRAGANA = "".join(map(chr, range(0x3041, 0x3097)))
KATAKANA = "".join(map(chr, range(0x30A1, 0x30FB)))
HALF_WIDTH = "".join(map(chr, range(0xFF66, 0xFFA0)))
VOICING = "\u3099\u309a\u309b\u309c\uff9e\uff9f"
MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030c\u031b\u0323\u0327\u0328\u0331\u0338\u0345\u034f\u20dd\u0488"
SPACES = " \u3000\u00a0\u2003\u200b\u202f\ufeff\u2581\u180e\u1680"
ENDS = "\n\r\t\v\f\u0085\u2028\u2029"
CONTROLS = "".join(map(chr, [*range(0, 32), *range(127, 160)]))
JOINERS = "\u200c\u200d\u2060\u00ad\u200e\u200f\u202e\ufe0e\ufe0f\ufffd\U000e0100\U000e0101\U000e01ef"
RARE_KANJI = "\U00020bb7\U00020b9f\U0002000b\U0002f800\ufa11\uf900\U0003007e\u9fff\u3400"
EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd", "\U0001f1ef\U0001f1f5", "\u2764\ufe0f",
         "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\u0031\ufe0f\u20e3", "\U0001f600", "\U0001fae0"]
COMPATIBILITY = "\u3231\u32ff\u337b\u337f\u3300\u3315\u33a1\u2460\u2474\u2160\u00bd\u00aa\u00b5\u2122\ufb01\ufdfa\u2026\uff5e\u301c\uff0d\u2212\uff5c"
KOREAN = ["\ud55c\uad6d", "\u1112\u1161\u11ab", "\u1100\u1161", "\uac00\u11a8", "\u3131\u314f", "\uffa1\uffc2", "\u1161", "\u11a8"]
OTHERS = ["\u0e33a\u0e33", "\u0915\u093c", "\u0958", "\u09c7\u09be", "\u0627\u0644\u0644\u0647", "\u1e9b\u0323", "\u212b", "\u0344", "i\u0307\u0301"]
SYMBOLS = ["<NL>", "<NL><NL>", "<s>", "</s>", "<unk>", "[PAD]", "<pad>", "<0x41>", "<0xE3>", "<", "NL>", "\\n", "{", "\u2581"]
JAPANESE = ["吾輩は猫である。", "名前はまだ無い。", "カーネル", "Linux", "設定ファイル", "2022年3月", "ﾊﾝｶｸｶﾀｶﾅ", "ガギグゲゴ", "が", "ありがとう", "１２３ＡＢＣ", "㈱日本", "(笑)"]


def _piece(rng):
    kind = rng.randrange(16)
    if kind < 3:
        return rng.choice(JAPANESE)
    if kind == 3:
        return rng.choice(HIRAGANA + KATAKANA) + rng.choice(VOICING)
    if kind == 4:
        return "".join(rng.choice(HALF_WIDTH) for _ in range(rng.randrange(1, 6)))
    if kind == 5:
        return rng.choice("aeiouyAEIOUncsz\u00e4\u03b1\u03c9\u0438\uff41\uff21\u2460") + "".join(
            rng.choice(MARKS) for _ in range(rng.randrange(1, 4)))
    if kind == 6:
        return rng.choice(SPACES) * rng.randrange(1, 6)
    if kind == 7:
        return "".join(rng.choice(ENDS) for _ in range(rng.randrange(1, 5)))
    if kind == 8:
        return rng.choice(CONTROLS)
    if kind == 9:
        return rng.choice(RARE_KANJI) + rng.choice(["", *JOINERS])
    if kind == 10:
        return rng.choice(EMOJI) + rng.choice(["", *JOINERS])
    if kind == 11:
        return rng.choice(MARKS + VOICING + JOINERS)
    if kind == 12:
        return rng.choice(COMPATIBILITY) + rng.choice(["", *MARKS, *VOICING])
    if kind == 13:
        return rng.choice(KOREAN + OTHERS)
    if kind == 14:
        return rng.choice(SYMBOLS)
    while True:  # anything at all, but surrogates and noncharacters
        c = rng.choice((rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x110000)))
        if not 0xD800 <= c < 0xE000 and not 0xFDD0 <= c < 0xFDF0 and c & 0xFFFE != 0xFFFE:
            return chr(c)


def lines(count, seed=1):
    """`count` lines of a few to a few dozen pieces, some of them long."""
    rng = random.Random(seed)
    out = ["", " ", "  ", "\u3000", "\n", "\r\n", "\n\n\n", "\u3099", "\u0000", "a" * 5000, "あ" * 5000, " " * 3000, "漢字\n" * 500]
    while len(out) < count:
        pieces = rng.choice((1, 2, 5, 20, 20, 60))
        out.append("".join(_piece(rng) for _ in range(pieces)))
    return out[:count]
