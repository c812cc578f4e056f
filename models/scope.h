// Where parameters get their names and their memory. A Scope is a path; the path is the parameter's name, the snapshot
// key and the Hugging Face key.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/base/philox.h"

namespace hinoki {

// How a parameter starts.
struct Init {
  enum Kind { constant, normal, uniform } kind = constant;
  double value = 0;         // constant
  double std = 0;           // normal, of mean 0
  double from = 0, to = 0;  // uniform, in [from, to)
};
inline Init constant_init(double value) { return {.kind = Init::constant, .value = value}; }
inline Init zeros_init() { return constant_init(0); }
inline Init ones_init() { return constant_init(1); }
inline Init normal_init(double std) { return {.kind = Init::normal, .std = std}; }
inline Init uniform_init(double from, double to) { return {.kind = Init::uniform, .from = from, .to = to}; }

struct Parameter {
  std::string name;
  Shape shape;
  Init init;
  int64_t offset = 0;          // in elements, of the flat buffers
  Tensor value;                // a leaf
  bool training_only = false;  // no part of the model that is exported
  // Weight decay is for matrices: not for biases and norm weights.
  bool decays() const { return shape.rank() >= 2; }
  int64_t size() const { return shape.numel(); }
};

// How adapters beside linear maps learn (models/lora.h).
struct LoraConfig {
  int64_t rank = 0;                       // 0: there are none, the weights themselves learn
  double alpha = 16;                      // what they add is multiplied by alpha / rank
  std::vector<std::string> targets = {};  // the last parts of the maps' names; empty: all maps of the layers

  template <class Visitor>
  void fields(Visitor& v) {
    v("rank", rank);
    v("alpha", alpha);
    v("targets", targets);
  }
  double factor() const { return alpha / double(rank); }
};

// All parameters of a model. To train: one flat buffer of weights and one of gradients, reserved while the model is
// built and allocated once it is known how large it is; bf16 weights are copies of f32 masters in a third one. To use a
// finished model: whatever tensors a source gives. To train adapters of a finished model: both.
struct FrozenBase;
class Parameters {
 public:
  using Source = std::function<Tensor(const std::string& name, const Shape& shape)>;

  explicit Parameters(DType dtype, Device device = Device::cpu);
  explicit Parameters(Source source);
  Parameters(DType dtype, Device device, FrozenBase base);
  Parameters(const Parameters&) = delete;

  // A second parameter of the same name is an Error. `beside`: not part of the base, if there is one.
  Tensor add(const std::string& name, const Shape& shape, Init init, bool training_only = false, bool beside = false);

  // Makes the buffers; weights are zero until somebody sets them. Padded to whole chunks of kChunk elements.
  void allocate();
  // Every value is a function of (seed, name, index): the same on any machine and any number of ranks.
  void initialize(uint64_t seed);
  // What the optimizer updates and snapshots keep: the weights themselves, or their f32 masters.
  Tensor master(const Parameter& p) const;
  // Sets master and weights; `values` are on the CPU, in the masters' dtype.
  void set(const Parameter& p, const Tensor& values);
  // The next backward pass overwrites the gradients.
  void clear_gradients();
  // Gradients that no backward pass reached since then become zero.
  void finish_gradients();

  const std::vector<Parameter>& all() const { return all_; }  // that learn, if there is a base
  const Parameter& find(const std::string& name) const;
  int64_t count() const;  // elements, without padding
  // Elements of each flat buffer, padding included.
  int64_t flat_size() const { return (end_ + kChunk - 1) / kChunk * kChunk; }
  DType dtype() const { return dtype_; }                    // of the weights that layers compute with
  DType master_dtype() const { return wide(dtype_); }       // of masters, gradients and moments
  bool has_masters() const { return masters_ != nullptr; }  // apart from the weights
  Device device() const { return device_; }
  const FrozenBase* base() const { return base_.get(); }            // nullptr: there is none
  const std::vector<Parameter>& frozen() const { return frozen_; }  // what was taken from it
  // The flat buffers. A parameter begins at its offset in each of them.
  void* gradients() const { return gradients_->data(); }
  void* masters() const { return (masters_ ? masters_ : weights_)->data(); }
  void* weights() const { return weights_->data(); }
  Storage& gradient_storage() { return *gradients_; }
  Storage& weight_storage() { return *weights_; }

  static constexpr int64_t kChunk = 64 * 1024, kAlign = 16;  // elements; every parameter starts on a cache line

 private:
  DType dtype_;
  Device device_ = Device::cpu;
  Source source_;
  std::shared_ptr<const FrozenBase> base_;
  std::vector<Parameter> all_, frozen_;
  std::shared_ptr<Storage> weights_, gradients_, masters_;
  int64_t end_ = 0;
};

// A finished model that others begin with and leave as it is.
struct FrozenBase {
  Parameters::Source source;
  LoraConfig lora = {};
  std::string folder = {}, hash = {};  // where it lies, and of its weights
};

class Scope {
 public:
  explicit Scope(Parameters& parameters) : parameters_(&parameters) {}
  Scope operator/(const std::string& name) const {
    Scope below = *this;
    below.path_ += path_.empty() ? name : "." + name;
    return below;
  }
  Scope operator/(int64_t index) const { return *this / std::to_string(index); }
  Tensor parameter(const std::string& name, const Shape& shape, Init init) const {
    return parameters_->add((*this / name).path_, shape, init, training_only_, adapter_);
  }
  // The same path for what only training needs: snapshots keep it in state/, and no reader of the model asks for it.
  Scope training_only() const {
    Scope same = *this;
    same.training_only_ = true;
    return same;
  }
  // The same path for what learns beside a frozen base.
  Scope adapter() const {
    Scope same = *this;
    same.adapter_ = true;
    return same;
  }
  const FrozenBase* base() const { return parameters_->base(); }
  const std::string& path() const { return path_; }
  uint64_t site() const { return hash_name(path_); }  // of randomness drawn here

 private:
  Parameters* parameters_;
  std::string path_;
  bool training_only_ = false, adapter_ = false;
};

}  // namespace hinoki
