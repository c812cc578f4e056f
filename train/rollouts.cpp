#include "train/rollouts.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/safetensors.h"
#include "core/safetensors_writer.h"

namespace hinoki {
namespace {

constexpr const char* kStem = "rollouts";  // of the file in state/
constexpr int64_t kAnswerNumbers = 4, kTokenNumbers = 7;

template <class T>
std::vector<T> gather_lists(Communicator& ranks, const std::string& what, const std::vector<T>& mine) {
  std::vector<T> all;
  const std::string_view bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(T));
  for (const std::string& part : gather(ranks, what, bytes)) {
    const size_t before = all.size();
    all.resize(before + part.size() / sizeof(T));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

std::vector<double> numbers_of(const Rollouts& r) {
  std::vector<double> n;
  for (const RolledAnswer& a : r.answers) n.insert(n.end(), {double(a.tokens), double(a.prompt), double(a.ended), a.score});
  return n;
}
std::vector<double> token_numbers_of(const Rollouts& r) {
  std::vector<double> n;
  for (const RolledToken& t : r.tokens)
    n.insert(n.end(), {t.log_prob, t.reference, t.value, t.entropy, t.sampler, t.advantage, t.to});
  return n;
}

template <class T>
std::vector<T> stored(const ModelWeights& from, const std::string& name, DType dtype, const std::string& folder) {
  require<Exit::snapshot>(from.contains(name), folder, ": ", kStem, ".safetensors lacks ", name);
  const StoredTensor t = from.at(name);
  require<Exit::snapshot>(t.dtype == dtype, folder, ": ", name, " holds ", t.dtype, ", not ", dtype);
  std::vector<T> values(t.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), t.bytes.data(), t.bytes.size());
  return values;
}

}  // namespace

std::vector<Rollouts::Place> Rollouts::places() const {
  std::vector<Place> places;
  Place at{0, 0};
  for (const RolledAnswer& a : answers) {
    places.push_back(at);
    at.ids += a.tokens;
    at.tokens += a.answered();
  }
  return places;
}

int64_t Rollouts::longest() const {
  int64_t most = 0;
  for (const RolledAnswer& a : answers) most = std::max(most, a.tokens);
  return most;
}

void Rollouts::gather(Communicator& ranks) {
  answers = gather_lists(ranks, "answers", answers);
  ids = gather_lists(ranks, "tokens of answers", ids);
  tokens = gather_lists(ranks, "log-probabilities of answers", tokens);
}

void Rollouts::write(const std::string& folder, const KlController& kl, const RunningScale& scale) const {
  const std::vector<double> of_answers = numbers_of(*this), of_tokens = token_numbers_of(*this);
  const std::vector<double> steering{double(number), kl.beta(), scale.state().count, scale.state().mean,
                                     scale.state().m2};
  auto file = SafetensorsWriter::create(
      folder + "/state", SafetensorsLayout({{"answers", DType::f64, {int64_t(answers.size()), kAnswerNumbers}},
                                            {"ids", DType::i32, {int64_t(ids.size())}},
                                            {"steering", DType::f64, {int64_t(steering.size())}},
                                            {"tokens", DType::f64, {int64_t(tokens.size()), kTokenNumbers}}},
                                           {.stem = kStem}));
  file.write("answers", std::as_bytes(std::span(of_answers)));
  file.write("ids", std::as_bytes(std::span(ids)));
  file.write("steering", std::as_bytes(std::span(steering)));
  file.write("tokens", std::as_bytes(std::span(of_tokens)));
  file.finish();
}

Rollouts Rollouts::read(const std::string& folder, KlController& kl, RunningScale& scale, const KlConfig& config) {
  const ModelWeights from = ModelWeights::open(folder + "/state", kStem);
  Rollouts r;
  const auto steering = stored<double>(from, "steering", DType::f64, folder);
  const auto of_answers = stored<double>(from, "answers", DType::f64, folder);
  const auto of_tokens = stored<double>(from, "tokens", DType::f64, folder);
  r.ids = stored<int32_t>(from, "ids", DType::i32, folder);
  require<Exit::snapshot>(steering.size() == 5, folder, ": ", kStem, ".safetensors has ", steering.size(),
                          " numbers in steering, not 5");
  r.number = int64_t(steering[0]);
  kl = KlController(steering[1], config.target, config.horizon);
  scale = RunningScale({.count = steering[2], .mean = steering[3], .m2 = steering[4]});
  int64_t ids = 0, tokens = 0;
  for (const double* n = of_answers.data(); n < of_answers.data() + of_answers.size(); n += kAnswerNumbers) {
    r.answers.push_back({.tokens = int64_t(n[0]), .prompt = int64_t(n[1]), .ended = int64_t(n[2]), .score = n[3]});
    const RolledAnswer& a = r.answers.back();
    require<Exit::snapshot>(a.prompt > 0 && a.answered() > 0, folder, ": answer ", r.answers.size() - 1, " of ", kStem,
                            ".safetensors is empty");
    ids += a.tokens;
    tokens += a.answered();
  }
  for (const double* n = of_tokens.data(); n < of_tokens.data() + of_tokens.size(); n += kTokenNumbers)
    r.tokens.push_back({n[0], n[1], n[2], n[3], n[4], n[5], n[6]});
  require<Exit::snapshot>(ids == int64_t(r.ids.size()) && tokens == int64_t(r.tokens.size()), folder,
                          ": lengths in ", kStem, ".safetensors do not add up: ", ids, " ids of ", r.ids.size(), ", ",
                          tokens, " tokens of ", r.tokens.size());
  return r;
}

RolloutSums find_advantages(Rollouts& rollouts, double beta, double scale, const ScoringConfig& scoring,
                            const PolicyConfig& policy) {
  const std::vector<Rollouts::Place> places = rollouts.places();
  const size_t count = rollouts.tokens.size();
  std::vector<double> rewards(count), values(count), advantages(count), returns(count);
  RolloutSums sums;
  std::map<std::vector<int32_t>, int64_t> seen;
  for (size_t i = 0; i < rollouts.answers.size(); ++i) {
    const RolledAnswer& a = rollouts.answers[i];
    const auto begin = size_t(places[i].tokens), end = begin + size_t(a.answered());
    for (size_t t = begin; t < end; ++t) {
      const RolledToken& token = rollouts.tokens[t];
      const double log_ratio = token.log_prob - token.reference;
      rewards[t] = -beta * log_ratio;
      values[t] = token.value;
      sums.kl += log_ratio;
      sums.k3 += std::expm1(-log_ratio) + log_ratio;
      sums.entropy += token.entropy;
      sums.price += rewards[t];
      sums.sampler = std::max(sums.sampler, std::abs(token.sampler - token.log_prob));
    }
    const double scaled = a.score * scale;
    rewards[end - 1] += scoring.clip > 0 ? std::clamp(scaled, -scoring.clip, scoring.clip) : scaled;
    sums.score += a.score;
    sums.ended += double(a.ended);
    sums.length += double(a.answered());
    const auto* const ids = rollouts.ids.data() + places[i].ids;
    ++seen[{ids + a.prompt, ids + a.tokens}];
  }
  for (const auto& [ids, times] : seen) sums.distinct += times == 1;
  if (policy.whiten_rewards) whiten(rewards, /*shift_mean=*/false);
  for (size_t i = 0; i < rollouts.answers.size(); ++i) {
    const auto of = [&](std::vector<double>& all) {
      return std::span(all).subspan(size_t(places[i].tokens), size_t(rollouts.answers[i].answered()));
    };
    advantages_and_returns(of(rewards), of(values), policy.gamma, policy.lambda, of(advantages), of(returns));
  }
  whiten(advantages);
  for (size_t t = 0; t < count; ++t) rollouts.tokens[t].advantage = advantages[t], rollouts.tokens[t].to = returns[t];
  const auto n = double(rollouts.answers.size());
  for (double* sum : {&sums.kl, &sums.k3, &sums.score, &sums.price, &sums.ended, &sums.length, &sums.distinct}) *sum /= n;
  sums.entropy /= double(count);
  return sums;
}

}  // namespace hinoki
