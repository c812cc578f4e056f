// The utterances of a corpus that a recogniser can learn from, or be judged by: those with a transcript that is short
// enough for their sound, and sound that is short enough for a row.
#pragma once
#include <functional>

#include "data/ctc_vocabulary.h"

namespace hinoki {

// What to do with a transcript that holds characters outside the vocabulary: end the run, or learn <unk> there.
enum class ForeignCharacters { fail, unknown };

struct TranscribedRules {
  TranscriptRules transcripts = {};
  ForeignCharacters foreign = ForeignCharacters::fail;
  int64_t least = 0, most = 0;  // samples
  double hours = 0;             // of sound, drawn by the seed: more hours hold all of fewer; 0: all
  uint64_t seed = 0;
  std::function<int64_t(int64_t samples)> frames = {};  // in which a model says what it has heard
};

class TranscribedSpeech {
 public:
  // `corpus` and `vocabulary` must outlive it. Exit::data if nothing is left.
  TranscribedSpeech(const SpeechCorpus& corpus, const CtcVocabulary& vocabulary, TranscribedRules rules);

  int64_t count() const { return count_; }
  double hours() const { return seconds_of(samples_) / 3600; }
  bool takes(int64_t u) const { return takes_[size_t(u)]; }
  std::string transcript(int64_t u) const { return transcript_of(corpus_.texts(u), rules_.transcripts); }
  std::vector<int32_t> labels(int64_t u) const { return vocabulary_.encode(transcript(u)).ids; }
  const SpeechCorpus& corpus() const { return corpus_; }

  // What was left out and why, and which utterances hold foreign characters: a line each, with the first ids.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Group {  // of utterances to tell of
    int64_t count = 0;
    std::string first = {};  // ids
    void add(const std::string& id);
  };
  enum Why { untranscribed, too_short, too_long, crowded, foreign, kWhys };
  bool check(int64_t u, Group (&groups)[kWhys]) const;
  void draw_hours();

  const SpeechCorpus& corpus_;
  const CtcVocabulary& vocabulary_;
  const TranscribedRules rules_;
  std::vector<bool> takes_;
  int64_t count_ = 0, samples_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace hinoki
