#include "data/chat_rows.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {

ChatRows::ChatRows(const ChatCorpus& corpus, const ChatRowRules& rules, uint64_t seed)
    : corpus_(corpus), rules_(rules), seed_(seed) {
  require<Exit::data>(corpus.count() > 0, corpus.path(),
                      ": holds nothing; prepare the data again, and let --validation ",
                      "or --validation-fraction hold something out");
  std::vector<Group> found = groups();
  require<Exit::data>(!found.empty(), corpus.path(), ": has no example that fits into a row of ", rules.length,
                      " tokens");
  pack(std::move(found));
}

// Of what fits, and is not too long or may lose what it begins with.
std::vector<ChatRows::Group> ChatRows::groups() {
  const int64_t together = corpus_.info().kind == kPreferences ? 2 : 1;
  const int64_t most = rules_.length / together - rules_.ended;
  std::vector<Group> groups;
  for (int64_t first = 0; first < corpus_.count(); first += together) {
    int64_t cut = 0;  // tokens, of both examples of a preference, which share their beginning
    for (int64_t i = first; i < first + together; ++i) {
      require<Exit::data>(!corpus_.answers(i).empty(), corpus_.path(), ": example ", i, " has no answer to learn from");
      const auto length = int64_t(corpus_.ids(i).size());
      require<Exit::data>(length <= most || rules_.overlong != Overlong::refuse, corpus_.path(), ": example ", i,
                          " has ", length, " tokens, a row ", rules_.length, together > 1 ? " for two" : "",
                          "; set data.sequence to more, or data.overlong to \"drop\" or \"truncate\"");
      cut = std::max(cut, length - most);
    }
    Group group;
    bool fits = cut == 0 || rules_.overlong == Overlong::truncate;
    for (int64_t i = first; i < first + together; ++i) {
      // Something must be left to answer after, and the last answer whole.
      const auto length = int64_t(corpus_.ids(i).size());
      const Answer last = corpus_.answers(i).back();
      fits = fits && (cut == 0 || (last.begin > cut && last.end == length));
      group.push_back({i, length - cut});
    }
    if (!fits)
      dropped_ += together;
    else
      truncated_ += cut > 0 ? together : 0, groups.push_back(std::move(group));
  }
  return groups;
}

// Best fit, the longest first: an example goes where the least room is left over.
void ChatRows::pack(std::vector<Group> groups) {
  const auto length = [this](const Group& group) {
    return std::accumulate(group.begin(), group.end(), int64_t{0}, [&](int64_t n, const Part& p) { return n + places(p); });
  };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const Group& a, const Group& b) { return length(a) > length(b); });
  std::multimap<int64_t, size_t> room;  // of rows
  for (const Group& group : groups) {
    const auto fits = rules_.packed ? room.lower_bound(length(group)) : room.end();
    size_t row = rows_.size();
    int64_t left = rules_.length;
    if (fits == room.end()) {
      rows_.emplace_back();
    } else {
      std::tie(left, row) = *fits;
      room.erase(fits);
    }
    rows_[row].insert(rows_[row].end(), group.begin(), group.end());
    room.emplace(left - length(group), row);
  }
}

double ChatRows::filled() const {
  double kept = 0;
  for (const auto& row : rows_)
    for (const Part& part : row) kept += double(places(part));
  return kept / (double(count()) * double(rules_.length));
}

int64_t ChatRows::shuffled(int64_t position) const {
  const Shuffle order{
      .seed = seed_, .site = hash_name("chat rows"), .epoch = uint64_t(position / count()), .count = count()};
  return order(position % count());
}

std::span<const Answer> ChatRows::learned(int64_t example) const {
  const std::span<const Answer> all = corpus_.answers(example);
  return corpus_.info().kind == kPreferences ? all.last(1) : all;
}

// The label of a token is the one that follows it; that of an answer's last token is the end of the text.
void ChatRows::label(const Part& part, std::span<int32_t> labels) const {
  const std::span<const int32_t> ids = corpus_.ids(part.example);
  const int64_t cut = int64_t(ids.size()) - part.kept;
  for (const Answer& a : learned(part.example)) {
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
    if (rules_.ended) out.ids[at + kept] = corpus_.info().end;
    std::fill_n(out.segments.begin() + int64_t(at), places(part), segment++);
    at += size_t(places(part));
  }
  std::fill(out.segments.begin() + int64_t(at), out.segments.end(), segment);  // padding
}

std::vector<ChatSpan> ChatRows::spans(int64_t row) const {
  std::vector<ChatSpan> spans;
  int64_t at = 0;
  for (const Part& part : rows_[size_t(row)]) {
    spans.push_back({part.example, at, at + places(part)});
    at += places(part);
  }
  return spans;
}

int64_t ChatRows::targets(int64_t row) const {
  int64_t n = 0;
  for (const Part& part : rows_[size_t(row)]) {
    const int64_t cut = int64_t(corpus_.ids(part.example).size()) - part.kept;
    for (const Answer& a : learned(part.example))
      if (a.begin > cut) n += a.end - a.begin + 1;
  }
  return n;
}

}  // namespace hinoki
