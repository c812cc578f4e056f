"""What can be asked about the words and sentences that words.py fetches."""
import json
import re

KANJI, HIRAGANA = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"^[\u3041-\u3096\u30fc、。]+$")


def about_word(record):
    word, english = record["word"], record.get("english")
    if "reading" in record:
        yield "reading", "次の言葉の読みをひらがなで書いてください。", word, record["reading"]
    if english:
        yield "english", "次の言葉を英語に訳してください。", word, english
        if ", " in english:  # one gloss alone may stand for many words
            yield "japanese", "次の英語に合う日本語の言葉を答えてください。", english, word
    if "note" in record:
        yield "word", "次の意味の言葉を答えてください。", record["note"], word


def about_sentence(kana, sentence):
    if len(sentence) >= 8 and KANJI.search(sentence) and HIRAGANA.match(kana):
        yield "kana", "次の文をひらがなで書いてください。", sentence, kana
        yield "kanji", "次の文を漢字とかなで書き直してください。", kana, sentence


def read(path):
    """(form, what it is about, source, instruction, input, answer) of each line."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            about = record.get("word") or record["kana"]  # two ways to write one sentence share their reading
            asked = about_word(record) if "word" in record else about_sentence(record["kana"], record["sentence"])
            for form, *question in asked:
                yield form, about, f"{record['source']}/{about}", *question
