#include "train/bench_decode.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/half.h"
#include "models/model.h"
#include "models/token_lines.h"

namespace hinoki {
namespace {

ModelConfig config_of(const DecodeBenchmark& what) {
  struct Size {
    const char* name;
    int64_t layers, width, heads, vocab;
  };
  constexpr Size kSizes[] = {{"nano", 2, 64, 2, 512}, {"tiny", 4, 256, 4, 8000}, {"small", 12, 768, 12, 32000}};
  const Size* size = std::find_if(std::begin(kSizes), std::end(kSizes), [&](const Size& s) { return what.size == s.name; });
  require<Exit::usage>(size != std::end(kSizes), "bench: size \"", what.size, "\" is not one of nano, tiny, small");
  ModelConfig config;
  config.gpt_neox = {.vocab_size = size->vocab,
                     .hidden_size = size->width,
                     .num_hidden_layers = size->layers,
                     .num_attention_heads = size->heads,
                     .intermediate_size = 4 * size->width,
                     .max_position_embeddings = what.prompt + what.tokens + 1,
                     .rotary_pct = 0.25,
                     .use_parallel_residual = true};
  return config;
}

// Random weights, as a Hugging Face folder would give them.
Tensor random_weight(const std::string& name, const Shape& shape, DType stored) {
  const bool matrix = shape.rank() == 2;
  const Tensor x = empty(shape, matrix ? stored : DType::f32);
  const uint64_t site = hash_name(name);
  for (int64_t i = 0; i < x.numel(); i += 2) {
    const Random4 bits = philox({.seed = 1, .site = site}, uint64_t(i));
    const auto pair = normal_pair(bits[0], bits[1]);
    for (int64_t j = i; j < std::min(i + 2, x.numel()); ++j) {
      const float value = 0.02f * float(pair[size_t(j - i)]) + (matrix || name.ends_with("bias") ? 0.0f : 1.0f);
      if (x.dtype() == DType::bf16)
        static_cast<bf16*>(x.data())[j] = to_bf16(value);
      else if (x.dtype() == DType::f16)
        static_cast<f16*>(x.data())[j] = to_f16(value);
      else
        x.as<float>()[j] = value;
    }
  }
  return x;
}

}  // namespace

DecodeTimes bench_decode(const DecodeBenchmark& what) {
  require<Exit::usage>(what.batch > 0 && what.prompt > 0 && what.tokens > 0 && what.rounds > 0,
                       "bench: batch, prompt, tokens and rounds must be positive");
  const ModelConfig config = config_of(what);
  DecodeTimes times{.step_ms = 1e300, .prefill_ms = 1e300};
  double weights = 0;
  Parameters parameters([&](const std::string& name, const Shape& shape) {
    times.parameters += shape.numel();
    const Tensor w = random_weight(name, shape, what.weights);
    if (name.find("embed_in") == std::string::npos) weights += double(w.numel()) * double(size_of(w.dtype()));
    return w;
  });
  const auto model = make_model(config, parameters);
  const double cached = double(what.batch) * (double(what.prompt) + double(what.tokens) / 2) * 2 *
                        double(config.layers() * config.width()) * sizeof(float);
  times.bytes = weights + cached;

  std::vector<std::vector<int32_t>> tokens(size_t(what.batch), std::vector<int32_t>(size_t(what.prompt)));
  for (int64_t b = 0; b < what.batch; ++b)
    for (int64_t i = 0; i < what.prompt; ++i)
      tokens[size_t(b)][size_t(i)] = int32_t((b * 131 + i * 17) % config.vocab_size());
  for (int64_t round = 0; round < what.rounds; ++round) {
    TokenLines lines(*model, {.temperature = 0}, what.batch, what.prompt + what.tokens + 1);
    std::vector<TokenLines::Growth> rows;
    for (int64_t b = 0; b < what.batch; ++b) rows.push_back({int32_t(b), tokens[size_t(b)], b});
    std::vector<double> steps;
    for (int64_t i = 0; i <= what.tokens; ++i) {
      const double start = steady_seconds();
      const auto drawn = lines.grow(rows);
      const double ms = 1e3 * (steady_seconds() - start);
      if (i == 0)
        times.prefill_ms = std::min(times.prefill_ms, ms);
      else
        steps.push_back(ms);
      for (int64_t b = 0; b < what.batch; ++b) {
        tokens[size_t(b)].resize(size_t(what.prompt));
        tokens[size_t(b)].push_back(drawn[size_t(b)].token);
        rows[size_t(b)].tokens = {&tokens[size_t(b)].back(), 1};
      }
    }
    for (auto& row : tokens) row.resize(size_t(what.prompt));
    std::nth_element(steps.begin(), steps.begin() + int64_t(steps.size() / 2), steps.end());
    times.step_ms = std::min(times.step_ms, steps[steps.size() / 2]);
  }
  return times;
}

}  // namespace hinoki
