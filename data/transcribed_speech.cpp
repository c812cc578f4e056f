#include "data/transcribed_speech.h"

#include "core/base/in_quotes.h"
#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {
namespace {

constexpr int64_t kNamed = 5;  // utterances of a kind

}  // namespace

void TranscribedSpeech::Group::add(const std::string& id) {
  if (++count <= kNamed) first += (count > 1 ? ", " : "") + id;
  if (count == kNamed + 1) first += ", ...";
}

TranscribedSpeech::TranscribedSpeech(const SpeechCorpus& corpus, const CtcVocabulary& vocabulary,
                                     TranscribedRules rules)
    : corpus_(corpus), vocabulary_(vocabulary), rules_(std::move(rules)) {
  Group groups[kWhys];
  for (int64_t u = 0; u < corpus.utterances(); ++u) takes_.push_back(check(u, groups));
  if (rules_.hours > 0) draw_hours();
  for (int64_t u = 0; u < corpus.utterances(); ++u)
    if (takes(u)) ++count_, samples_ += corpus.samples(u);
  const std::string limits[] = {"without a transcript", say("shorter than ", seconds_of(rules_.least), " s"),
                                say("longer than ", seconds_of(rules_.most), " s"),
                                "whose transcript has more characters than the sound has frames"};
  for (int why = 0; why < foreign; ++why)
    if (groups[why].count > 0)
      notes_.push_back(say(groups[why].count, " utterances left out ", limits[why], ": ", groups[why].first));
  if (groups[foreign].count > 0)
    notes_.push_back(say(groups[foreign].count, " transcripts hold characters outside the vocabulary, which become ",
                         vocabulary.unknown() >= 0 ? vocabulary.token(vocabulary.unknown()) : "nothing", ": ",
                         groups[foreign].first));
  std::string all;
  for (const std::string& note : notes_) all += "\n" + note;
  require<Exit::data>(count_ > 0, corpus.folder().string(), ": none of ", corpus.utterances(),
                      " utterances can be used", all);
}

bool TranscribedSpeech::check(int64_t u, Group (&groups)[kWhys]) const {
  const UtteranceTexts texts = corpus_.texts(u);
  const auto leave_out = [&](Why why) {
    groups[why].add(texts.id);
    return false;
  };
  const CtcVocabulary::Encoded text = vocabulary_.encode(transcript_of(texts, rules_.transcripts));
  const int64_t samples = corpus_.samples(u);
  if (text.ids.empty() && text.foreign.empty()) return leave_out(untranscribed);
  if (samples < rules_.least) return leave_out(too_short);
  if (samples > rules_.most) return leave_out(too_long);
  int64_t needed = int64_t(text.ids.size());
  for (size_t i = 1; i < text.ids.size(); ++i) needed += text.ids[i] == text.ids[i - 1];
  if (needed > rules_.frames(samples)) return leave_out(crowded);
  if (text.foreign.empty()) return true;
  require<Exit::data>(rules_.foreign == ForeignCharacters::unknown, corpus_.folder().string(), ": utterance ", texts.id,
                      ": ", in_quotes(text.foreign.front()), " is not in the vocabulary of ", vocabulary_.size(),
                      " tokens; correct the transcript, make the vocabulary anew, or let foreign = \"unknown\" learn "
                      "<unk> there");
  groups[foreign].add(texts.id + " " + in_quotes(text.foreign.front()));
  return !text.ids.empty();
}

// The first ones of a keyed permutation of all, until they are enough.
void TranscribedSpeech::draw_hours() {
  const Shuffle order{rules_.seed, hash_name("transcribed/hours"), 0, corpus_.utterances()};
  std::vector<bool> drawn(takes_.size(), false);
  int64_t left = int64_t(rules_.hours * 3600 * double(kSampleRate));
  for (int64_t i = 0; i < corpus_.utterances() && left > 0; ++i) {
    const int64_t u = order(i);
    if (!takes(u)) continue;
    drawn[size_t(u)] = true;
    left -= corpus_.samples(u);
  }
  takes_ = std::move(drawn);
}

}  // namespace hinoki
