// Weights of a Hugging Face folder, by name.
#include <algorithm>
#include <cstring>

#include "core/base/half.h"
#include "core/base/hash128.h"
#include "core/base/parallel.h"
#include "models/peft.h"

namespace hinoki {
namespace {

// Buffers of old transformers versions that hold no knowledge.
bool is_legacy(const std::string& name) {
  for (const char* suffix : {".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq",
                             ".attn.bias", ".attn.masked_bias"})
    if (name.ends_with(suffix)) return true;
  return false;
}

template <class From, class To>
void convert_values(std::span<const std::byte> bytes, To* out) {
  parallel_blocks(int64_t(bytes.size() / sizeof(From)), int64_t{1} << 18, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      From x;
      std::memcpy(&x, bytes.data() + i * int64_t(sizeof(From)), sizeof x);
      if constexpr (std::is_same_v<From, double>)
        out[i] = To(x);
      else
        out[i] = To(to_float(x));
    }
  });
}

template <class To>
void convert_values(const StoredTensor& from, To* out, const std::string& name) {
  switch (from.dtype) {
    case DType::f32:
      return convert_values<float>(from.bytes, out);
    case DType::f64:
      return convert_values<double>(from.bytes, out);
    case DType::bf16:
      return convert_values<bf16>(from.bytes, out);
    case DType::f16:
      return convert_values<f16>(from.bytes, out);
    default:
      fail<Exit::data>("weights: ", name, " holds ", from.dtype, ", not a float type");
  }
}

}  // namespace

WeightSource::WeightSource(const std::string& folder, const Place& place)
    : folder_(folder),
      prefix_(place.prefix),
      weights_(std::make_shared<const ModelWeights>(ModelWeights::open(folder, place.stem))) {}

std::string WeightSource::stored_name(const std::string& name) const {
  std::vector<std::string> spellings{name};
  // GPT2Model and HubertModel (without a head) save their names without the prefix.
  for (const std::string_view prefix : {"transformer.", "hubert."})
    if (name.starts_with(prefix)) spellings.push_back(name.substr(prefix.size()));
  // What PyTorch before 2.1 and from then on call the two parts of a weight norm.
  for (const auto& [older, newer] :
       {std::pair<std::string_view, const char*>{"weight_g", "parametrizations.weight.original0"},
        {"weight_v", "parametrizations.weight.original1"}})
    if (name.ends_with(older))
      for (const std::string& s : std::vector(spellings))
        spellings.push_back(s.substr(0, s.size() - older.size()) + newer);
  const auto stored = std::find_if(spellings.begin(), spellings.end(),
                                   [&](const std::string& s) { return weights_->contains(prefix_ + s); });
  return prefix_ + (stored == spellings.end() ? name : *stored);
}

Shape WeightSource::shape(const std::string& name) const {
  const std::string stored = stored_name(name);
  require<Exit::data>(weights_->contains(stored), folder_, ": the weights lack ", name);
  return weights_->at(stored).shape;
}

DType WeightSource::dtype(const std::string& name) const {
  const std::string stored = stored_name(name);
  require<Exit::data>(weights_->contains(stored), folder_, ": the weights lack ", name);
  return weights_->at(stored).dtype;
}

std::vector<std::string> WeightSource::names() const {
  std::vector<std::string> names;
  for (const std::string& name : weights_->names()) {
    require<Exit::data>(name.starts_with(prefix_), folder_, ": the weights hold ", name, ", which does not begin with ",
                        prefix_);
    names.push_back(name.substr(prefix_.size()));
  }
  return names;
}

std::string WeightSource::hash() const {
  Hasher128 hasher;
  for (const std::string& name : weights_->names()) {
    hasher.add(name.data(), name.size() + 1);
    hasher.add(weights_->at(name).bytes);
  }
  return hasher.hex();
}

std::string WeightSource::metadata(const std::string& key) const {
  if (weights_->shards().empty()) return {};
  const auto& all = weights_->shards().front().metadata();
  const auto found = all.find(key);
  return found == all.end() ? std::string() : found->second;
}

StoredTensor WeightSource::find(const std::string& name, const Shape& shape) const {
  const std::string stored = stored_name(name);
  require<Exit::data>(weights_->contains(stored), folder_, ": the weights lack ", name, " of shape ", shape);
  const StoredTensor t = weights_->at(stored);
  require<Exit::data>(t.shape == shape, folder_, ": ", name, " is ", t.shape, ", config.json asks for ", shape);
  return t;
}

Tensor WeightSource::get(const std::string& name, const Shape& shape) const {
  const StoredTensor t = find(name, shape);
  const bool stays = t.dtype == DType::f32 || (shape.rank() == 2 && !name.ends_with("wpe.weight") &&
                                               (t.dtype == DType::bf16 || t.dtype == DType::f16));
  if (stays && reinterpret_cast<uintptr_t>(t.bytes.data()) % size_of(t.dtype) == 0)
    return {Storage::wrap(const_cast<std::byte*>(t.bytes.data()), t.bytes.size(), weights_), 0, shape, shape.strides(),
            t.dtype};
  Tensor copy = empty(shape, stays ? t.dtype : DType::f32);
  if (stays)
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
  else
    convert_values(t, copy.as<float>(), name);
  return copy;
}

Parameters::Source on_device(Parameters::Source source, Device device, DType dtype) {
  if (device == Device::cpu && dtype != DType::bf16) return source;
  return [source = std::move(source), device, dtype](const std::string& name, const Shape& shape) {
    const Tensor stored = source(name, shape);
    if (device == Device::cpu && (shape.rank() != 2 || name.ends_with("wpe.weight"))) return stored;
    return to_device(cast(cast(stored, DType::f32), dtype), device);
  };
}

void WeightSource::fill(Parameters& parameters, std::string_view may_lack) const {
  for (const Parameter& p : parameters.all()) {
    const bool needed = !p.training_only && (may_lack.empty() || !p.name.starts_with(may_lack));
    if (!needed && !weights_->contains(stored_name(p.name))) continue;
    const Tensor values = empty(p.shape, parameters.master_dtype());
    visit_float(values.dtype(), [&]<class T>() { convert_values(find(p.name, p.shape), values.as<T>(), p.name); });
    parameters.set(p, values);
  }
  check_all_used(parameters);
}

void WeightSource::check_all_used(const Parameters& parameters) const {
  std::vector<std::string> used;
  for (const auto* some : {&parameters.all(), &parameters.frozen()})
    for (const Parameter& p : *some) used.push_back(stored_name(p.name));
  for (const std::string& name : weights_->names()) {
    if (is_legacy(name) || std::find(used.begin(), used.end(), name) != used.end()) continue;
    // A tied head may be stored a second time.
    const bool tied_head = name == "lm_head.weight" || name == "embed_out.weight";
    require<Exit::data>(tied_head, folder_, ": the weights hold ", name, ", which this model does not have");
  }
}

namespace {

std::unique_ptr<Parameters> parameters_from(const WeightSource& source, Device device, DType dtype) {
  const auto get = [source](const std::string& name, const Shape& shape) { return source.get(name, shape); };
  return std::make_unique<Parameters>(on_device(get, device, dtype));
}

}  // namespace

LoadedModel load_model(const std::string& folder, Device device, DType dtype) {
  if (is_adapter_folder(folder)) return load_adapted(folder, device, dtype);
  LoadedModel loaded{.config = read_hugging_face_config(folder), .parameters = {}, .model = {}};
  require<Exit::usage>(!loaded.config.scores, folder, ": is a reward model: it scores texts, and writes none");
  const WeightSource source(folder);
  loaded.parameters = parameters_from(source, device, dtype);
  loaded.model = make_model(loaded.config.model, *loaded.parameters);
  source.check_all_used(*loaded.parameters);
  return loaded;
}

LoadedRewardModel load_reward_model(const std::string& folder, Device device, DType dtype) {
  LoadedRewardModel loaded{.config = read_hugging_face_config(folder), .parameters = {}, .model = {}};
  require<Exit::usage>(loaded.config.scores, folder, ": is no reward model: train one with recipe = \"reward\"");
  const WeightSource source(folder);
  loaded.parameters = parameters_from(source, device, dtype);
  loaded.model = std::make_unique<RewardModel>(loaded.config.model, *loaded.parameters);
  source.check_all_used(*loaded.parameters);
  return loaded;
}

}  // namespace hinoki
