#include "models/token_lines.h"

#include <algorithm>

namespace hinoki {

TokenLines::TokenLines(const CausalLm& model, const Sampling& sampling, int64_t lines, int64_t capacity,
                       int64_t usable_vocab)
    : model_(model),
      sampler_(sampling),
      capacity_(capacity),
      usable_vocab_(usable_vocab),
      caches_(model.make_caches(lines, capacity)),
      lengths_(size_t(lines)),
      appended_(size_t(lines), {-1, -1}) {
  if (sampling.needs_context()) context_ = zeros({lines, capacity + 1}, DType::i32, model.device());
}

// Copies the tokens that the context lacks: a token that was drawn there is already in its place.
void TokenLines::note_context(std::span<const Growth> rows) {
  if (!context_.defined()) return;
  for (const Growth& r : rows) {
    const int32_t at = lengths_[size_t(r.line)];
    if (r.tokens.size() == 1 && appended_[size_t(r.line)] == std::pair{r.tokens[0], at}) continue;
    const auto count = int64_t(r.tokens.size());
    copy_elements(from_values<int32_t>({count}, r.tokens),
                  context_.narrow(0, r.line, 1).view({capacity_ + 1}).narrow(0, at, count));
  }
}

// [rows, width]: of each row's last token. Shorter rows are padded at their end, where none of their tokens looks.
Tensor TokenLines::last_hidden(std::span<const Growth> rows, const CacheRows& places, int64_t time) const {
  const auto batch = int64_t(rows.size());
  const Tensor ids = zeros({batch, time}, DType::i32), last = empty({batch}, DType::i32);
  for (int64_t b = 0; b < batch; ++b) {
    const auto& tokens = rows[size_t(b)].tokens;
    std::copy(tokens.begin(), tokens.end(), ids.as<int32_t>() + b * time);
    last.as<int32_t>()[b] = int32_t(b * time) + int32_t(tokens.size()) - 1;
  }
  const Tensor hidden = model_.hidden_cached(to_device(ids, model_.device()), caches_, places);
  const Tensor flat = hidden.view({batch * time, hidden.size(2)});
  return time == 1 ? flat : gather_rows(flat, to_device(last, model_.device()));
}

std::vector<TokenLines::Drawn> TokenLines::grow(std::span<const Growth> rows, bool log_probabilities) {
  if (rows.empty()) return {};
  const auto alike = [&](const Growth& r) { return r.tokens.size() == rows[0].tokens.size(); };
  const auto is_new = [&](const Growth& r) { return lengths_[size_t(r.line)] == 0; };
  if (!std::all_of(rows.begin(), rows.end(), alike) && !std::all_of(rows.begin(), rows.end(), is_new)) {
    std::vector<Drawn> result;  // padding could run past the room of a line
    for (const Growth& r : rows) result.push_back(grow({&r, 1}, log_probabilities)[0]);
    return result;
  }
  const NoGrad no_grad;
  const Device device = model_.device();
  const auto batch = int64_t(rows.size());
  std::vector<int32_t> lines, lengths, after;
  std::vector<int64_t> samples;
  int64_t time = 0;
  for (const Growth& r : rows) {
    const int64_t length = lengths_[size_t(r.line)] + int64_t(r.tokens.size());
    require(!r.tokens.empty() && length <= capacity_, "token lines: ", r.tokens.size(), " tokens more for line ", r.line,
            " of ", lengths_[size_t(r.line)], ", whose room is ", capacity_);
    lines.push_back(r.line);
    lengths.push_back(lengths_[size_t(r.line)]);
    after.push_back(int32_t(length));
    samples.push_back(r.sample);
    time = std::max(time, int64_t(r.tokens.size()));
  }
  note_context(rows);
  const CacheRows places(lines, lengths, time, device);
  const Tensor logits = cast(model_.logits(last_hidden(rows, places, time)), DType::f32);
  SampledRows drawn{.logits = logits,
                    .usable = usable_vocab_,
                    .positions = to_device(from_values<int32_t>({batch}, after), device),
                    .samples = to_device(from_values<int64_t>({batch}, samples), device),
                    .context = context_,
                    .lines = places.device_lines,
                    .tokens = empty({batch}, DType::i32, device)};
  if (log_probabilities) drawn.log_probabilities = empty({batch}, DType::f32, device);
  sampler_(drawn);
  // Of each new token only its id leaves the device, and its log-probability if it is wanted.
  const Tensor ids = to_device(drawn.tokens, Device::cpu);
  const Tensor logs = log_probabilities ? to_device(drawn.log_probabilities, Device::cpu) : Tensor();
  std::vector<Drawn> result;
  for (int64_t b = 0; b < batch; ++b) {
    const int32_t token = ids.as<int32_t>()[b], line = lines[size_t(b)];
    result.push_back({token, logs.defined() ? logs.as<float>()[b] : 0});
    lengths_[size_t(line)] = after[size_t(b)];
    appended_[size_t(line)] = {token, after[size_t(b)]};
  }
  return result;
}

void TokenLines::cut(int32_t line, int64_t length) {
  require(0 <= length && length <= lengths_[size_t(line)], "token lines: line ", line, " of ", lengths_[size_t(line)],
          " tokens cannot be cut to ", length);
  lengths_[size_t(line)] = int32_t(length);
  appended_[size_t(line)] = {-1, -1};
}

}  // namespace hinoki
