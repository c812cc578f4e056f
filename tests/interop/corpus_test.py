"""Tests of scripts/corpus: every extractor on a small document of its kind. Run: python3 tests/interop/corpus_test.py"""
import contextlib
import gzip
import io
import json
import os
import struct
import sys
import tarfile
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "corpus"))
import anthy  # noqa: E402
import aozora  # noqa: E402
import apt  # noqa: E402
import build  # noqa: E402
import chat  # noqa: E402
import clean  # noqa: E402
import dasher  # noqa: E402
import descriptions  # noqa: E402
import dictionaries  # noqa: E402
import gettext_mo  # noqa: E402
import lyx  # noqa: E402
import markup  # noqa: E402
import messages_json  # noqa: E402
import mozilla  # noqa: E402
import roff  # noqa: E402
import word_questions  # noqa: E402
import words  # noqa: E402
import wrapped  # noqa: E402
from packages import BUNDLES, Source  # noqa: E402


def catalogue(pairs, order="<"):
    """A .mo file with the given (original, translation) pairs."""
    pairs = [(a.encode(), b.encode()) for a, b in pairs]
    tables, strings, base = [[], []], b"", 28 + 16 * len(pairs)
    for side in (0, 1):
        for pair in pairs:
            tables[side].append(struct.pack(order + "2I", len(pair[side]), base + len(strings)))
            strings += pair[side] + b"\0"
    header = struct.pack(order + "7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return header + b"".join(tables[0]) + b"".join(tables[1]) + strings


class Clean(unittest.TestCase):
    def test_breaks_between_japanese_characters_vanish_and_others_become_spaces(self):
        self.assertEqual(clean.unwrap("これは\n長い行、\n  です"), "これは長い行、です")
        self.assertEqual(clean.unwrap("これは\nLinux\n です"), "これは Linux です")

    def test_prose_rule(self):
        self.assertTrue(clean.is_prose("これは日本語の行です"))
        self.assertFalse(clean.is_prose("日本語文章構成要素"))  # no kana
        self.assertFalse(clean.is_prose("これは短い"))
        self.assertFalse(clean.is_prose("int select(int nfds, fd_set *readfds, ...); です"))

    def test_document_drops_controls_undecodable_lines_and_composes(self):
        text = clean.document(["か\u3099くせいのための本\u200bです", "こわれた\ufffd行でございます", "short"])
        self.assertEqual(text, "がくせいのための本です")

    def test_decode_reads_the_older_encodings(self):
        for encoding in ("utf-8", "euc_jp", "iso2022_jp"):
            self.assertEqual(clean.decode("日本語のテキスト".encode(encoding)), "日本語のテキスト")


class Roff(unittest.TestCase):
    def read(self, text):
        return [line for line in roff.extract(text.encode()) if line]

    def test_paragraphs_headings_tags_and_fonts(self):
        page = (".\\\" 注釈\n.TH LS 1\n.SH 説明\n\\fBls\\fR は一覧を\n表示する。\n.PP\n別の段落\\-だ。\n"
                ".TP\n\\fB\\-a\\fR\n全部を\n表示する\n.TP\n.BR printf (3)\n書式つき\n")
        self.assertEqual(self.read(page), ["説明", "ls は一覧を表示する。", "別の段落-だ。", "-a", "全部を表示する", "printf(3)", "書式つき"])

    def test_literal_text_keeps_its_lines(self):
        self.assertEqual(self.read(".nf\n一行目\n二行目\n.fi\n続く\n文\n"), ["一行目", "二行目", "続く文"])

    def test_named_characters_and_escapes(self):
        self.assertEqual(self.read("\\(lq引用\\(rq と \\e と \\[bu] と \\s-1小\\s0 と\\h'2n'字\n"), ["“引用” と \\ と • と 小 と字"])

    def test_macro_definitions_are_skipped(self):
        self.assertEqual(self.read(".de XX\nかくれた文\n..\n見える文\n.ig\nこれも隠れる\n..\n終り\n"), ["見える文終り"])

    def test_mdoc(self):
        page = ".Sh 名前\n.Nm inetd\n.Nd サーバー\n.Pp\n.Dq 引用\nを見よ\n.Xr tcp 4 ,\n参照\n"
        self.assertEqual(self.read(page), ["名前", "inetd サーバー", "“引用”を見よ tcp 4, 参照"])

    def test_tables_give_a_line_per_row(self):
        self.assertEqual(self.read(".TS\nl l.\n名前\t意味\nT{\n長い\n項目\nT}\n.TE\n後\n"), ["名前意味", "長い項目", "後"])


class Markup(unittest.TestCase):
    def test_blocks_inline_entities_and_skipped_elements(self):
        page = ("<html><head><title>題</title></head><body><script>var x='<p>';</script><p>これは<b>太い</b>\n文字 &amp; &#x3042;"
                "<nav><p>案内</p></nav><ul><li>一<li>二</ul><!-- <p>注 -->終</body></html>")
        self.assertEqual(markup.extract(page.encode()), ["これは太い文字 & あ", "一", "二", "終"])

    def test_verbatim_keeps_lines_and_a_greater_sign_in_an_attribute_is_no_end(self):
        self.assertEqual(markup.extract("<pre title='a>b'>一\n二</pre><p>三".encode()), ["一", "二", "三"])

    def test_docbook_and_mallard(self):
        page = ("<page xmlns:mal='x'><info><mal:credit><mal:name>人の名前</mal:name></mal:credit><desc>説明</desc></info>"
                "<section xml:id='a'><title>題</title><para>文<indexterm><primary>索引</primary></indexterm>です</para></section></page>")
        self.assertEqual(markup.extract(page.encode()), ["説明", "題", "文", "です"])


class Others(unittest.TestCase):
    def test_lyx_joins_lines_and_drops_commands_and_index_entries(self):
        body = ("\\begin_body\n\\begin_layout Standard\n最初の\n\\emph on\n段\n\\emph default\n落\\SpecialChar LyX\nです\n"
                "\\begin_inset Index idx\nstatus open\n\\begin_layout Plain Layout\nさくいん\n\\end_layout\n\\end_inset\n"
                "\\begin_inset Foot\nstatus open\n\\begin_layout Plain Layout\n脚注\n\\end_layout\n\\end_inset\n。\n\\end_layout\n")
        self.assertEqual(lyx.extract(body.encode()), ["脚注", "最初の段落LyXです。"])

    def test_gettext_both_byte_orders(self):
        pairs = [("", "Content-Type: text/plain"), ("Open (_O)", "<b>開く</b>(_O)"), ("same", "same"),
                 ("a\0bs", "一つの\nもの\0複数")]
        for order in "<>":
            self.assertEqual(gettext_mo.extract(catalogue(pairs, order)), ["開く", "一つのもの"])

    def test_gettext_refuses_what_points_outside(self):
        good = catalogue([("a", "あ")])
        for bad in (b"", good[:20], b"x" * 40, good[:-8], good[:8] + struct.pack("<I", 1 << 30) + good[12:]):
            with self.assertRaises(ValueError):
                gettext_mo.extract(bad)

    def test_wrapped_text_and_info(self):
        text = "File: x.info,  Node: Top\n\n章の題\n******\n\n長い文が\nつづく。\n\n* 項一\n* 項二は\n  折れる\n「12」\n\x1f\nTag Table:\nNode: ごみ\n"
        self.assertEqual(wrapped.extract(text.encode()), ["章の題", "長い文がつづく。", "* 項一", "* 項二は折れる"])

    def test_dasher_marks_go_and_sentences_part(self):
        self.assertEqual(dasher.extract("わがはいは>ねこで｜ある。　なまえは>ない。".encode()), ["わがはいはねこである。", "なまえはない。", ""])

    def test_package_descriptions(self):
        index = ("Package: a\nDescription-md5: 0\nDescription-ja: 要約\n 長い\n 説明\n .\n 第二段\n  - 項目\n\n"
                 "Package: b\nDescription-md5: 1\nDescription-ja: 別の\n")
        self.assertEqual(list(descriptions.documents(index.encode())),
                         [("a", ["要約", "長い説明", "第二段", "- 項目"]), ("b", ["別の"])])

    def test_mozilla_messages(self):
        text = "# 注\nname = 値です { $x }\n    .accesskey = P\n    .label = 札\nlong =\n    続き\n    の行\n"
        self.assertEqual([line for line in mozilla.extract(text.encode()) if line], ["値です", "札", "続き の行"])

    def test_json_messages(self):
        raw = json.dumps({"@metadata": {"authors": ["名"]}, "a": "''[[x|つなぐ]]'' {{PLURAL:$1|一}}字"}).encode()
        self.assertEqual(messages_json.extract(raw), ["つなぐ 字"])

    def test_aozora_ruby_notes_and_colophon_go(self):
        raw = "　吾輩《わがはい》は｜猫《ねこ》である［＃改行］。\n底本：「本」\n後書き".encode("cp932")
        self.assertEqual(aozora.extract(raw)[0], "吾輩は猫である。")
        self.assertNotIn("後書き", aozora.extract(raw))

    def test_anthy_keeps_the_sentence(self):
        self.assertEqual(anthy.extract("# 注\n|９じごろに|でんわが| |9時頃に|電話が|\n".encode()), ["9時頃に電話が"])


class Build(unittest.TestCase):
    def test_a_source_tarball_becomes_sorted_documents(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/x.tar.gz"
            with tarfile.open(path, "w:gz") as archive:
                for name, text in (("b.txt", "これは二番目の文書です。"), ("a.txt.gz", "これは一番目の文書です。"), ("c.bin", "x")):
                    raw = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
                    info = tarfile.TarInfo(name)
                    info.size = len(raw)
                    archive.addfile(info, io.BytesIO(raw))
            source = Source("x", [(r"\.txt(\.gz)?$", wrapped.extract)], "none", source_package=True)
            name, entry = build.build_package((source, [path], folder))
            with open(f"{folder}/x.jsonl", encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
        self.assertEqual([row["source"] for row in rows], ["x/a.txt.gz", "x/b.txt"])
        self.assertEqual(rows[0]["text"], "これは一番目の文書です。")
        self.assertEqual((name, entry["documents"], entry["bytes"]), ("x", 2, 72))

    def test_an_unreadable_package_costs_only_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/x.tar.gz", "wb") as file:
                file.write(b"no archive")
            source = Source("x", [(r"txt", wrapped.extract)], "none", source_package=True)
            _, entry = build.build_package((source, [f"{folder}/x.tar.gz"], folder))
        self.assertIn("not read", entry["warning"])

    def test_bundles_grow_and_name_each_package_once(self):
        names = {bundle: [source.name for source in BUNDLES[bundle]] for bundle in BUNDLES}
        for bundle in names.values():
            self.assertEqual(len(bundle), len(set(bundle)))
        self.assertLess(set(names["smoke"]), set(names["lean"]))
        self.assertLess(set(names["lean"]), set(names["full"]))

    def test_only_debian_sources_are_taken_from_the_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/sources.list.d")
            for name, text in (("sources.list", "deb http://deb.debian.org/debian bookworm main\ndeb http://other.example x main\n"),
                               ("sources.list.d/debian.sources", "# c\nTypes: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n"),
                               ("sources.list.d/other.sources", "Types: deb\nURIs: https://other.example\n")):
                with open(f"{folder}/{name}", "w") as file:
                    file.write(text)
            stanzas, lines = apt.debian_sources(folder)
        self.assertEqual(lines, ["deb http://deb.debian.org/debian bookworm main"])
        self.assertEqual(len(stanzas), 1)
        self.assertIn("Suites: bookworm", stanzas[0])


class Dictionaries(unittest.TestCase):
    def test_edict_gives_common_words_their_first_sense_and_the_only_reading(self):
        entries = ("　？？？ /EDICT, a heading/Created: 2021-02-03/\n"
                   "辞書(P);字書 [じしょ(P)] /(n) (1) dictionary/lexicon/(2) (辞書 only) (arch) letter of resignation/(P)/EntL1X/\n"
                   "人気 [にんき(P);じんき] /(n,adj-no) (1) popularity/(P)/EntL2X/\n"
                   "今日 [きょう] /(n-t) (1) today/this day/(P)/EntL3X/\n今日 [こんにち] /(n-t) (1) nowadays/EntL4X/\n"
                   "スリム /(adj-na,n) slim/(P)/\n稀 [まれ] /(adj-na) rare/EntL5X/\n"
                   "宴会 [えんかい] /(n,vs) (1) soiree/b/c/d/(P)/\n長 [ちょう] /(n) " + "long " * 20 + "/(P)/\n")
        self.assertEqual(list(dictionaries.edict(entries.encode("euc_jp"))), [
            ("辞書", "じしょ", "dictionary, lexicon"), ("人気", None, "popularity"), ("今日", None, "today, this day"),
            ("スリム", None, "slim"), ("宴会", "えんかい", "soiree, b, c")])

    def test_skk_gives_words_that_are_explained_in_japanese(self):
        entries = (";; okuri-nasi entries.\nようだい /容態/容体;=容態/煬帝;隋王朝の第二代皇帝/\nあかk /赤;赤くなるという色/\n"
                   "せんか /戦火;†war.「-を交える」/専科;special course/戰果;「戦」の旧字/\nlabo /ラボ;化学を試みる部屋/\n"
                   "しょくかん /食間;食事と食事の間/\nとうよう /陶窯;とうようではない/\n")
        self.assertEqual(list(dictionaries.skk(entries.encode("euc_jp"))), [("煬帝", "隋王朝の第二代皇帝"), ("食間", "食事と食事の間")])

    def test_lines_in_no_encoding_are_left_out(self):
        broken = "犬 [いぬ] /(n) dog/(P)/\n".encode("euc_jp") + b"\xff\xfe [x] /(n) nothing/(P)/\n"
        self.assertEqual(list(dictionaries.edict(broken)), [("犬", "いぬ", "dog")])

    def test_anthy_pairs_a_sentence_with_its_reading(self):
        raw = "# 注\n|きつい|はなし| |きつい|話|\n~|だい2だん| |第2段|\nnothing\n".encode()
        self.assertEqual(list(anthy.pairs(raw)), [("きついはなし", "きつい話"), ("だい2だん", "第2段")])

    def test_what_is_fetched_is_written_once_and_in_order(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/anthy.tar"
            lines = "|b| |び|\n|a| |あ|\n|b| |び|\n".encode()
            with tarfile.open(path, "w") as archive:
                entry = tarfile.TarInfo("anthy/corpus/corpus.1.txt")
                entry.size = len(lines)
                archive.addfile(entry, io.BytesIO(lines))
            source = next(source for source in words.SOURCES if source.name == "anthy")
            self.assertEqual(list(words.records(source, [path])), [{"kana": "a", "sentence": "あ", "source": "anthy"},
                                                                   {"kana": "b", "sentence": "び", "source": "anthy"}])


class Chat(unittest.TestCase):
    """Questions and preferences out of a corpus of manual pages."""

    PAGES = 300
    WORDS = 100

    def made(self, folder, words=False):
        """{"instructions/train": records, ...} of a corpus of pages that say what they are."""
        with open(f"{folder}/pages.jsonl", "w", encoding="utf-8") as file:
            for i in range(self.PAGES):
                sentence = f"この命令は {i} 番の設定ファイルを最初に読み込んだあとで、 指定された装置へ順番に書き込みます。"
                text = f"tool{i} - 装置 {i} を調べる\n{sentence}\n短い文。\n"
                file.write(json.dumps({"text": text, "source": f"page {i}"}, ensure_ascii=False) + "\n")
        os.mkdir(f"{folder}/words")
        with open(f"{folder}/words/words.jsonl", "w", encoding="utf-8") as file:
            for i in range(self.WORDS):
                for record in ({"word": f"語{i}", "reading": "ご" + "あ" * i, "english": f"word {i}, term {i}", "source": "edict"},
                               {"word": f"語{i}", "note": f"{i}番めに覚える言葉", "source": "skkdic"},
                               {"kana": "ぶんです" + "か" * i, "sentence": f"{i}番めの長い文です", "source": "anthy"}):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.argv = ["chat.py", folder, f"{folder}/out"] + ([f"{folder}/words"] if words else [])
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(chat.main(), 0)
        made = {}
        for name in ("instructions/train", "instructions/heldout", "preferences/train", "preferences/heldout"):
            with open(f"{folder}/out/{name}.jsonl", encoding="utf-8") as file:
                made[name] = [json.loads(line) for line in file]
        return made

    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            self.records = self.made(folder)

    def test_every_page_is_asked_in_three_ways(self):
        both = self.records["instructions/train"] + self.records["instructions/heldout"]
        self.assertEqual(len(both), 3 * self.PAGES)
        asked = {(r["instruction"], r["input"]): r["output"] for r in both}
        self.assertEqual(asked["tool7 は何ですか。", ""], "tool7 は「装置 7 を調べる」ものです。")
        self.assertEqual(asked["次の説明に合うものの名前を答えてください。", "装置 7 を調べる"], "それは tool7 です。")
        begun = "この命令は 7 番の設定ファイルを最初に読み込んだあとで、"
        self.assertEqual(asked["次の文の続きを書いてください。", begun], "指定された装置へ順番に書き込みます。")

    def test_a_page_is_trained_on_or_held_out(self):
        for kind in ("instructions", "preferences"):
            train, held = ({r["source"] for r in self.records[f"{kind}/{split}"]} for split in ("train", "heldout"))
            self.assertEqual(len(train) + len(held), self.PAGES)
            self.assertTrue(0.02 < len(held) / self.PAGES < 0.25)

    def test_words_and_sentences_are_asked_both_ways_and_a_word_is_on_one_side(self):
        with tempfile.TemporaryDirectory() as folder:
            more = self.made(folder, words=True)
        sides = []
        for split in ("train", "heldout"):
            both = more[f"instructions/{split}"]
            pages = [r for r in both if r["source"].startswith("page")]
            self.assertEqual(pages, self.records[f"instructions/{split}"], "words change nothing of what pages are asked")
            sides.append({r["source"].split("/")[1] for r in both if not r["source"].startswith("page")})
            self.assertTrue(sides[-1])
        self.assertFalse(sides[0] & sides[1])
        self.assertEqual(len(sides[0] | sides[1]), 2 * self.WORDS)
        asked = {(r["instruction"], r["input"]): r["output"] for s in ("train", "heldout") for r in more[f"instructions/{s}"]}
        self.assertEqual(len(asked), 3 * self.PAGES + 6 * self.WORDS)
        for instruction, given, answer in (
                ("次の言葉の読みをひらがなで書いてください。", "語2", "ごああ"), ("次の言葉を英語に訳してください。", "語2", "word 2, term 2"),
                ("次の英語に合う日本語の言葉を答えてください。", "word 2, term 2", "語2"), ("次の意味の言葉を答えてください。", "2番めに覚える言葉", "語2"),
                ("次の文をひらがなで書いてください。", "2番めの長い文です", "ぶんですかか"), ("次の文を漢字とかなで書き直してください。", "ぶんですかか", "2番めの長い文です")):
            self.assertEqual(asked[instruction, given], answer)

    def test_what_cannot_be_asked_well_is_not_asked(self):
        self.assertEqual([form for form, *_ in word_questions.about_word({"word": "犬", "english": "dog"})], ["english"])
        self.assertFalse(list(word_questions.about_sentence("みじかいぶん", "短い文")))
        self.assertFalse(list(word_questions.about_sentence("だい2だんをはっぴょうする", "第2段を発表すると言う")))

    def test_a_folder_without_words_is_refused(self):
        sys.argv = ["chat.py", ".", "out", "/nowhere"]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(chat.main(), 3)
        self.assertIn("words.sh makes it", said.getvalue())

    def test_what_is_rejected_is_worse_and_of_the_same_split(self):
        for split in ("train", "heldout"):
            records = self.records[f"preferences/{split}"]
            answers = {r["chosen"] for r in records}
            for r in records:
                self.assertNotEqual(r["chosen"], r["rejected"])
                self.assertTrue(r["rejected"].strip())
                if r["kind"] == "other":
                    self.assertIn(r["rejected"], answers)
        self.assertEqual({r["kind"] for r in self.records["preferences/train"]}, {"other", "cut", "repeated", "rude"})

    def test_the_same_corpus_gives_the_same_data(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.made(folder), self.records)


if __name__ == "__main__":
    unittest.main()
