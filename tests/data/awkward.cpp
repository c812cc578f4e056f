#include "tests/data/awkward.h"

#include <map>
#include <memory>

#include "core/base/philox.h"

namespace hinoki {

std::vector<std::string> awkward_lines(int64_t count) {
  static const std::vector<std::string> words{"吾輩は",
                                              "猫である。",
                                              "名前は",
                                              "まだ",
                                              "無い。",
                                              "どこで",
                                              "生れたか",
                                              "とんと",
                                              "見当が",
                                              "つかぬ。",
                                              "東京都",
                                              "コンピュータ",
                                              "サーバー",
                                              "の",
                                              "を",
                                              "が",
                                              "に",
                                              "は",
                                              "です。",
                                              "ます。",
                                              "、",
                                              "「",
                                              "」",
                                              "…",
                                              "ｶﾞｷﾞｸﾞ",
                                              "ﾊﾟｿｺﾝ",
                                              "ｱｲｳ",
                                              "は\u3099ひ\u309A",
                                              "か\u3099き\u3099",
                                              "\U00020BB7野家",
                                              "\U00029E3D",
                                              "葛\U000E0100城",
                                              "辻\uFE00",
                                              "👨\u200D👩\u200D👧\u200D👦",
                                              "🏳\uFE0F\u200D🌈",
                                              "🇯🇵",
                                              "👍🏽",
                                              "\u3000",
                                              "  ",
                                              "   ",
                                              "\t",
                                              "１２３",
                                              "㌔",
                                              "①",
                                              "ＡＢＣ",
                                              "Linux",
                                              "hello",
                                              "x86_64",
                                              "საქართველო",
                                              "한국어",
                                              "العربية",
                                              "\u200B",
                                              "\u00A0",
                                              "ﬁ",
                                              "½",
                                              "Å",
                                              "Ａ\u030A",
                                              "<NL",
                                              "NL>",
                                              "<s>",
                                              "</s>",
                                              "[PAD]",
                                              "<0x0A>",
                                              "~",
                                              "～",
                                              "〜",
                                              "ー",
                                              "―",
                                              "\u2028",
                                              "ゔ",
                                              "𛀀",
                                              "〇",
                                              "々",
                                              "ヶ"};
  std::vector<std::string> lines;
  for (int64_t i = 0; i < count; ++i) {
    std::string line;
    const RandomKey key{.seed = 7, .site = hash_name("awkward")};
    const int64_t length = 1 + philox(key, uint64_t(i) << 8)[0] % 24;
    for (int64_t w = 1; w <= length; ++w) line += words[philox(key, uint64_t(i) << 8 | w)[0] % words.size()];
    lines.push_back(line);
  }
  return lines;
}

const Tokenizer& small_tokenizer(Newline newline, bool nfkc) {
  static std::map<std::pair<Newline, bool>, std::unique_ptr<Tokenizer>> made;
  auto& slot = made[{newline, nfkc}];
  if (!slot) {
    TokenizerTraining settings{.vocabulary_size = 480, .newline = newline, .nfkc = nfkc};
    slot = std::make_unique<Tokenizer>(Tokenizer::from_bytes(train_tokenizer(settings, awkward_lines(600)), "small"));
  }
  return *slot;
}

}  // namespace hinoki
