#include "train/profile.h"

#include <algorithm>
#include <charconv>

#include "core/base/file.h"
#include "core/base/in_quotes.h"
#include "core/base/log.h"
#include "train/clock_offset.h"

namespace hinoki {
namespace {

bool parse_number(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool or_warn(const std::function<void()>& f) {
  try {
    f();
    return true;
  } catch (const std::exception& e) {
    warn("the profile is not whole: ", e.what());
    return false;
  }
}

// What rank `from` says, at rank 0; the others hear nothing.
std::string to_first(Communicator& ranks, int from, uint64_t size, const std::string& mine) {
  std::string text(ranks.first() ? size_t(size) : 0, '\0');
  std::vector<Bytes> send(size_t(ranks.size()));
  std::vector<MutableBytes> receive(send.size());
  if (ranks.rank() == from) send[0] = bytes_of(mine);
  if (ranks.first()) receive[size_t(from)] = std::as_writable_bytes(std::span(text));
  ranks.exchange(say("timeline of rank ", from), send, receive);
  return text;
}

}  // namespace

StepRange parse_profile(const std::string& text, int64_t steps) {
  StepRange range;
  if (text.empty()) return range;
  const size_t colon = std::min(text.find(':'), text.size());
  require<Exit::usage>(colon < text.size() && parse_number(std::string_view(text).substr(0, colon), range.first) &&
                           parse_number(std::string_view(text).substr(colon + 1), range.last),
                       "--profile ", in_quotes(text),
                       ": give START:STOP, the first and the last step to record, such as 100:102");
  require<Exit::usage>(range.first >= 1 && range.last >= range.first, "--profile ", text,
                       ": steps count from 1, and STOP is not before START");
  require<Exit::usage>(range.last <= steps, "--profile ", text, ": the run ends after step ", steps, " (train.steps)");
  return range;
}

Profile::Profile(StepRange steps, const std::string& run, Communicator& ranks)
    : steps_(steps),
      folder_(run + "/profile"),
      ranks_(ranks),
      joined_(steps.first > 0 ? &timeline_.emplace() : nullptr, "training") {}

void Profile::begin(int64_t step) {
  now_ = step;
  if (!timeline_ || start_ > 0 || step < steps_.first) return;
  if (step > steps_.last) {
    if (steps_.last > 0 && ranks_.first())
      warn("--profile ", steps_.first, ":", steps_.last, ": the run goes on from step ", step - 1,
           "; nothing is recorded");
    steps_.last = 0;
    return;
  }
  if (ranks_.first()) or_warn([&] { remove_tree(folder_); });  // of an earlier time, with more ranks perhaps
  steps_.first = step;  // later than asked for, where the run goes on in their midst
  start_ = Timeline::now();
  timeline_->record(true);
}

void Profile::end(int64_t step) {
  if (step >= steps_.last) finish();
}

void Profile::finish() {
  if (start_ == 0) return;
  timeline_->record(false);
  const ClockOffset clock = clock_offset(ranks_);
  const int64_t zero = gather_values(ranks_, "start of the timeline", start_)[0] + clock.ahead;
  const std::vector<int64_t> errors = gather_values(ranks_, "errors of the clocks", clock.error);
  const std::vector<int64_t> lost = gather_values(ranks_, "events that found no place", timeline_->lost());
  write(zero, *std::max_element(errors.begin(), errors.end()));
  if (const int64_t most = *std::max_element(lost.begin(), lost.end()); most > 0 && ranks_.first())
    warn("up to ", most, " events of a rank found no place on the timeline; record fewer steps");
  start_ = steps_.last = 0;
}

// Rank 0 takes one timeline at a time: together they may be large.
void Profile::write(int64_t zero, int64_t clock_error) {
  const std::string mine = timeline_->events(ranks_.rank(), ranks_.name(ranks_.rank()), zero);
  or_warn([&] {
    make_directory(folder_);
    write_file_durably(say(folder_, "/rank-", ranks_.rank(), ".json"), kTraceHead + mine + kTraceTail);
  });
  const std::vector<uint64_t> sizes = gather_values(ranks_, "sizes of the timelines", uint64_t(mine.size()));
  std::optional<FileWriter> all;
  const auto add = [&](std::string_view text) {
    if (all && !or_warn([&] { all->write(text); })) all.reset();
  };
  const std::string path = folder_ + "/trace.json";
  if (ranks_.first()) or_warn([&] { all = FileWriter::create(path); });
  add(kTraceHead + mine);
  for (int r = 1; r < ranks_.size(); ++r) add(",\n" + to_first(ranks_, r, sizes[size_t(r)], mine));
  add(kTraceTail);
  if (!all) return;
  inform("wrote ", path, ": steps ", steps_.first, " to ", now_,
         ranks_.alone() ? ""
                        : say(" of ", ranks_.size(), " ranks, clocks aligned within ", clock_error / 1000 + 1, " us"));
}

}  // namespace hinoki
