#include "train/program_scorer.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/base/check.h"
#include "core/base/in_quotes.h"
#include "core/base/json.h"

namespace hinoki {
namespace {

constexpr size_t kLongestScore = 1000;  // bytes; no number needs a tenth of it
constexpr double kForever = 1e8;       // seconds; a clock holds no more than some hundred times that
constexpr double kScorerGrace = 2;     // seconds between the end of a program's output and its own
constexpr const char* kContract = "; for each line that it reads it must print one finite number on a line, and flush";

std::string line_of(const Answered& a) {
  const OrderedJson line = {{"prompt", a.prompt}, {"answer", a.answer}, {"ended", a.ended}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::optional<double> finite_number(std::string_view line) {
  constexpr const char* blank = " \t\r";
  const size_t begin = line.find_first_not_of(blank);
  if (begin == std::string_view::npos) return std::nullopt;
  line = line.substr(begin, line.find_last_not_of(blank) + 1 - begin);
  double number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace

struct ProgramScorer::Batch {
  std::string text;          // all lines
  std::vector<size_t> ends;  // where in it each line ends
  size_t written = 0;        // bytes
  size_t asked = 0;          // lines that are wholly written
  bool writable = true;
  std::vector<double> scores;
  Clock::time_point deadline;

  size_t size() const { return ends.size(); }
  bool complete() const { return scores.size() == size(); }
};

ProgramScorer::ProgramScorer(std::string command, double seconds)
    : command_(std::move(command)), seconds_(seconds), program_(command_) {
  require<Exit::usage>(seconds > 0, "the program ", in_quotes(command_), " is given ", seconds,
                       " seconds for a batch of answers; it needs some");
}

std::vector<double> ProgramScorer::score(std::span<const Answered> answers) {
  require<Exit::data>(program_.output() >= 0, "the program ", in_quotes(command_), " was ended after a fault");
  Batch batch;
  for (const Answered& a : answers) {
    batch.text += line_of(a);
    batch.ends.push_back(batch.text.size());
  }
  const std::chrono::duration<double> patience(std::min(seconds_, kForever));
  batch.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience);
  read_some(batch);  // what it has printed since the last batch, nobody asked for
  exchange(batch);
  if (!received_.empty()) fail_answer(batch, "printed ", in_quotes(received_), ", more than it was asked for");
  return batch.scores;
}

// Writes and reads in whatever order the program allows: of two pipes that are full, each would wait for the other.
void ProgramScorer::exchange(Batch& batch) {
  while (!batch.complete()) {
    const auto left = std::chrono::duration<double, std::milli>(batch.deadline - Clock::now()).count();
    if (left <= 0) fail_late(batch);
    const bool more = batch.writable && batch.written < batch.text.size();
    pollfd both[2] = {{program_.output(), POLLIN, 0}, {more ? program_.input() : -1, POLLOUT, 0}};
    if (poll(both, 2, int(std::min(left + 1, 1e6))) <= 0) continue;  // or a signal of ours
    if (both[0].revents) read_some(batch);
    if (both[1].revents) write_some(batch);
  }
}

void ProgramScorer::write_some(Batch& batch) {
  const ssize_t n = program_.write(batch.text.data() + batch.written, batch.text.size() - batch.written);
  if (n < 0) {
    // Nobody reads any more. What it has printed before may say why, and its end will.
    batch.writable = errno == EAGAIN || errno == EINTR;
    return;
  }
  batch.written += size_t(n);
  while (batch.asked < batch.size() && batch.ends[batch.asked] <= batch.written) ++batch.asked;
}

void ProgramScorer::read_some(Batch& batch) {
  char buffer[1 << 14];
  const ssize_t n = read(program_.output(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) fail_at_end_of_output(batch);
  received_.append(buffer, size_t(n));
  take_lines(batch);
}

void ProgramScorer::take_lines(Batch& batch) {
  size_t begin = 0;
  for (size_t end; (end = received_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto line = std::string_view(received_).substr(begin, end - begin);
    if (batch.scores.size() == batch.asked)
      fail_answer(batch, "printed ", in_quotes(line), ", more than it was asked for");
    if (line.size() > kLongestScore)
      fail_answer(batch, "printed ", in_quotes(line), ", a line of ", line.size(), " bytes");
    const std::optional<double> number = finite_number(line);
    if (!number) fail_answer(batch, "printed ", in_quotes(line), ", which is no finite number");
    batch.scores.push_back(*number);
  }
  received_.erase(0, begin);
  if (received_.size() > kLongestScore)
    fail_answer(batch, "printed ", in_quotes(received_), ", a line of over ", kLongestScore, " bytes");
}

void ProgramScorer::fail_at_end_of_output(const Batch& batch) {
  const std::string cut = received_.empty() ? "" : say(" after ", in_quotes(received_), " without the end of a line");
  if (const auto end = program_.ended_within(kScorerGrace)) fail_answer(batch, *end, cut);
  fail_answer(batch, "closed its output", cut);
}

void ProgramScorer::fail_late(const Batch& batch) {
  if (const auto end = program_.ended_within(0)) fail_answer(batch, *end);  // and left its output to somebody
  const std::string came = received_.empty() ? "" : say("; of the line there is ", in_quotes(received_));
  fail_answer(batch, batch.writable ? "took" : "no longer reads, and took", " more than ", seconds_,
              " seconds for the batch", came, "; give it more time, or find out what it waits for");
}

template <class... Parts>
void ProgramScorer::fail_answer(const Batch& batch, const Parts&... parts) {
  const std::string what = say(parts...);  // may be of memory that ends with the program
  const size_t number = batch.scores.size() + 1;
  program_.end();
  fail<Exit::data>("the program ", in_quotes(command_), ", ",
                   number <= batch.size() ? say("at answer ", number, " of ", batch.size())
                                          : say("after the last of ", batch.size(), " answers"),
                   ": it ", what, kContract);
}

}  // namespace hinoki
