#include "data/chat_rows.h"

#include <algorithm>
#include <map>

#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {

ChatRows::ChatRows(const ChatCorpus& corpus, const ChatRowRules& rules, uint64_t seed)
    : corpus_(corpus), rules_(rules), seed_(seed) {
  require<Exit::data>(corpus.count() > 0, corpus.path(),
                      ": holds nothing; prepare the data again, and let --validation ",
                      "or --validation-fraction hold something out");
  std::vector<Part> parts;
  for (int64_t i = 0; i < corpus.count(); ++i) {
    const auto length = int64_t(corpus.ids(i).size());
    require<Exit::data>(!corpus.answers(i).empty(), corpus.path(), ": example ", i, " has no answer to learn from");
    if (length <= rules.length) {
      parts.push_back({i, length});
      continue;
    }
    require<Exit::data>(rules.overlong != Overlong::refuse, corpus.path(), ": example ", i, " has ", length,
                        " tokens, a row ", rules.length,
                        "; set data.sequence to more, or data.overlong to \"drop\" or \"truncate\"");
    // Something must be left to answer after, and the last answer whole.
    const Answer last = corpus.answers(i).back();
    const bool fits = last.end - last.begin < rules.length && last.end == length;
    if (rules.overlong == Overlong::truncate && fits)
      parts.push_back({i, rules.length}), ++truncated_;
    else
      ++dropped_;
  }
  require<Exit::data>(!parts.empty(), corpus.path(), ": has no example that fits into a row of ", rules.length,
                      " tokens");
  pack(std::move(parts));
}

// Best fit, the longest first: an example goes where the least room is left over.
void ChatRows::pack(std::vector<Part> parts) {
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.kept > b.kept; });
  std::multimap<int64_t, size_t> room;  // of rows
  for (const Part& part : parts) {
    const auto fits = rules_.packed ? room.lower_bound(part.kept) : room.end();
    size_t row = rows_.size();
    int64_t left = rules_.length;
    if (fits == room.end()) {
      rows_.emplace_back();
    } else {
      std::tie(left, row) = *fits;
      room.erase(fits);
    }
    rows_[row].push_back(part);
    room.emplace(left - part.kept, row);
  }
}

double ChatRows::filled() const {
  double kept = 0;
  for (const auto& row : rows_)
    for (const Part& part : row) kept += double(part.kept);
  return kept / (double(count()) * double(rules_.length));
}

int64_t ChatRows::shuffled(int64_t position) const {
  const Shuffle order{
      .seed = seed_, .site = hash_name("chat rows"), .epoch = uint64_t(position / count()), .count = count()};
  return order(position % count());
}

// The label of a token is the one that follows it; that of an answer's last token is the end of the text.
void ChatRows::label(const Part& part, std::span<int32_t> labels) const {
  const std::span<const int32_t> ids = corpus_.ids(part.example);
  const int64_t cut = int64_t(ids.size()) - part.kept;
  for (const Answer& a : corpus_.answers(part.example)) {
    if (a.begin <= cut) continue;
    for (int64_t t = a.begin; t < a.end; ++t) labels[size_t(t - 1 - cut)] = ids[size_t(t)];
    labels[size_t(a.end - 1 - cut)] = corpus_.info().end;
  }
}

void ChatRows::fill_row(int64_t row, const Row& out) const {
  for (const auto& part : {out.ids, out.labels, out.segments})
    require(int64_t(part.size()) == rules_.length, "a row has ", rules_.length, " tokens, not ", part.size());
  std::fill(out.ids.begin(), out.ids.end(), 0);
  std::fill(out.labels.begin(), out.labels.end(), kIgnored);
  size_t at = 0;
  int32_t segment = 0;
  for (const Part& part : rows_[size_t(row)]) {
    const auto kept = size_t(part.kept);
    std::copy_n(corpus_.ids(part.example).end() - int64_t(kept), kept, out.ids.begin() + int64_t(at));
    label(part, out.labels.subspan(at, kept));
    std::fill_n(out.segments.begin() + int64_t(at), kept, segment++);
    at += kept;
  }
  std::fill(out.segments.begin() + int64_t(at), out.segments.end(), segment);  // padding
}

int64_t ChatRows::targets(int64_t row) const {
  int64_t n = 0;
  for (const Part& part : rows_[size_t(row)]) {
    const int64_t cut = int64_t(corpus_.ids(part.example).size()) - part.kept;
    for (const Answer& a : corpus_.answers(part.example))
      if (a.begin > cut) n += a.end - a.begin + 1;
  }
  return n;
}

}  // namespace hinoki
