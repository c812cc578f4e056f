#include "train/reducer.h"

#include <bit>
#include <utility>

#include "core/base/clock.h"
#include "core/base/parallel.h"
#include "core/base/trace.h"
#include "kernels/tree_sum.h"

namespace hinoki {
namespace {

// The sum of `terms` arrays in tree order, however many: every round leaves one array for eight.
void sum_all(std::vector<void*> terms, void* y, int64_t count, DType dtype, Device device, Stream stream) {
  while (true) {
    const size_t n = std::min<size_t>(terms.size(), kernels::TreeSum::kMostTerms);
    std::vector<void*> sums;
    for (size_t first = 0; first < terms.size(); first += n) {
      void* const to = terms.size() <= n ? y : terms[first];
      kernels::TreeSum k{.x = {}, .terms = int(n), .y = to, .count = count, .dtype = dtype};
      std::copy_n(terms.begin() + int64_t(first), n, k.x);
      kernels::tree_sum.run(device, stream, k);
      sums.push_back(to);
    }
    if (sums.size() == 1) return;
    terms = std::move(sums);
  }
}

std::shared_ptr<Storage> zero_storage(size_t bytes, Device device, size_t element) {
  auto s = Storage::allocate(bytes, device, element);
  fill_bytes(s->data(), 0, bytes, device);
  return s;
}

}  // namespace

Reducer::Reducer(Parameters& parameters, Communicator& ranks, const Shards& shards, int64_t slots, bool gather,
                 bool nccl)
    : parameters_(parameters),
      ranks_(ranks),
      shards_(shards),
      slots_(slots),
      gather_(gather),
      nccl_(nccl && !on_host()),
      element_(size_of(parameters.master_dtype())) {
  const size_t flat = size_t(parameters.flat_size()) * element_;
  for (int64_t n = 1; n < slots; n *= 2) levels_.push_back(zero_storage(flat, parameters.device(), element_));
  if (ranks.alone()) return;
  for (int64_t b = 0; b < shards.buckets(); ++b)
    for (int r = 0; r < ranks.size(); ++r) largest_part_ = std::max(largest_part_, shards.part(b, r).size());
  received_ = Storage::allocate(size_t(largest_part_) * element_ * size_t(ranks.size()), where(), element_);
  if (!on_host()) {
    if (!nccl_) staging_ = Storage::allocate(size_t(shards.bucket_size()) * element_);
    stream_ = device().make_stream();
    for (int64_t b = 0; b < shards.buckets(); ++b) written_.push_back(device().make_event());
  }
  thread_ = traced_thread("reducer", [this] { work(); });
  if (on_host()) ranks.before_exchanges([this] { let_gathers_go_first(); });
}

Reducer::~Reducer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  ranks_.before_exchanges({});
  parameters_.weight_storage().set_arrival(nullptr);
  gpus_.reset();  // before its stream
  for (const Event& event : written_) device().release_event(event);
  if (stream_.handle != nullptr) device().release_stream(stream_);
}

void Reducer::connect() {
  if (nccl_ && !ranks_.alone() && !gpus_) gpus_.emplace(ranks_, stream_);
}

int64_t Reducer::buffer_bytes() const {
  int64_t bytes = received_ ? int64_t(received_->bytes()) : 0;
  for (const auto& level : levels_) bytes += int64_t(level->bytes());
  return bytes;
}

std::byte* Reducer::at(Storage& s, int64_t element) const {
  return static_cast<std::byte*>(s.data()) + size_t(element) * element_;
}

// Adds what earlier slots have left on the lowest levels, then leaves the sum on the first free one: by changing places
// with the buffer there, not by a copy.
void Reducer::finish_slot() {
  const Trace trace("carry");
  carry({0, shards_.flat_size()}, {});
  const int level = std::countr_one(uint64_t(finished_));
  parameters_.gradient_storage().swap(*levels_[size_t(level)]);
  ++finished_;
}

void Reducer::carry(const Piece& p, Stream stream) {
  Storage& sum = parameters_.gradient_storage();
  for (int level = 0; finished_ >> level & 1; ++level)
    sum_all({at(*levels_[size_t(level)], p.begin), at(sum, p.begin)}, at(sum, p.begin), p.size(),
            parameters_.master_dtype(), parameters_.device(), stream);
}

LeafHook Reducer::hook() {
  if (ranks_.alone()) return {};
  connect();
  open_.assign(size_t(shards_.buckets()), 0);
  for (const Parameter& p : parameters_.all())
    for (int64_t b = shards_.bucket_of(p.offset); p.size() > 0 && b <= shards_.bucket_of(p.offset + p.size() - 1); ++b)
      ++open_[size_t(b)];
  next_ = shards_.buckets() - 1;
  hooked_ = true;
  return [this](const std::shared_ptr<Leaf>& leaf) { leaf_done(leaf); };
}

void Reducer::leaf_done(const std::shared_ptr<Leaf>& leaf) {
  const Tensor& grad = leaf->grad;
  if (!grad.defined() || grad.storage().get() != &parameters_.gradient_storage() || grad.numel() == 0) return;
  const int64_t offset = (static_cast<std::byte*>(grad.data()) - at(parameters_.gradient_storage(), 0)) / element_;
  for (int64_t b = shards_.bucket_of(offset); b <= shards_.bucket_of(offset + grad.numel() - 1); ++b)
    --open_[size_t(b)];
  post_ready();
}

void Reducer::post_ready() {
  const int64_t before = next_;
  for (; next_ >= 0 && open_[size_t(next_)] == 0; --next_)
    if (!on_host()) device().record(written_[size_t(next_)], {});
  if (next_ == before) return;
  {
    const std::lock_guard lock(mutex_);
    posted_ += before - next_;
  }
  changed_.notify_all();
}

// What no backward pass has reached is zero by now.
void Reducer::finish() {
  if (ranks_.alone()) {
    Trace("carry"), carry({0, shards_.flat_size()}, {});
  } else {
    require(hooked_, "the last backward pass of the step had no hook");
    std::fill(open_.begin(), open_.end(), 0);
    post_ready();
    const Trace trace("wait for the reducer");
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return error_ || reduced_ == shards_.buckets(); });
    if (error_) std::rethrow_exception(error_);
    posted_ = reduced_ = 0;
    hooked_ = false;
  }
  finished_ = 0;
}

// The ranks' own arithmetic has all threads; this thread's passes over memory do without. What all ranks have begun to
// gather is finished even if this one is to stop: the others wait for its parts.
void Reducer::work() {
  ThreadPool alone(1);
  const UsePool use(alone);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || gathering_ || posted_ > reduced_; });
    if (stop_ && !gathering_) return;
    const bool gather = gathering_;
    const int64_t bucket = gather ? gathered_ : shards_.buckets() - 1 - reduced_;
    lock.unlock();
    std::exception_ptr error;
    try {
      gather ? gather_weights_of(bucket) : reduce(bucket);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    if (!error && !gather) ++reduced_;
    if (!error && gather && ++gathered_ == shards_.buckets()) {
      parameters_.weight_storage().set_arrival(nullptr);
      gathering_ = false;
    }
    changed_.notify_all();
    if (error) return;
  }
}

void Reducer::wait(size_t, size_t end) {
  const size_t element = size_of(parameters_.dtype());
  const int64_t last = shards_.bucket_of(int64_t((end - 1) / element));
  std::unique_lock lock(mutex_);
  const auto there = [&] { return !gathering_ || gathered_ > last; };
  if (there()) return;
  const Trace trace("wait for weights", "bucket", last);
  const double start = steady_seconds();
  changed_.wait(lock, [&] { return there() || error_; });
  waited_ += steady_seconds() - start;
  if (!there()) std::rethrow_exception(error_);
}

void Reducer::let_gathers_go_first() {
  if (std::this_thread::get_id() == thread_.get_id()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !gathering_ || error_; });
  if (gathering_) std::rethrow_exception(error_);
}

double Reducer::take_waited() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waited_, 0);
}

void Reducer::reduce(int64_t bucket) {
  if (!on_host()) Trace("wait for the GPU", "bucket", bucket), device().await(written_[size_t(bucket)]);
  const Trace trace("bucket", "bucket", bucket);
  const Piece whole = shards_.bucket(bucket), mine = shards_.part(bucket, ranks_.rank());
  std::byte* const there = at(parameters_.gradient_storage(), whole.begin);
  Trace("carry", "bucket", bucket), carry(whole, stream_);
  std::byte* const data = staging_ ? at(*staging_, 0) : there;
  if (staging_) device().copy_out(data, there, size_t(whole.size()) * element_, stream_);
  exchange_parts(bucket, data);
  if (gather_) gather_parts(bucket, "gradients", data, element_);
  if (staging_) {
    const Piece summed = gather_ ? whole : mine;
    const size_t offset = size_t(summed.begin - whole.begin) * element_;
    device().copy_in(there + offset, data + offset, size_t(summed.size()) * element_, stream_);
  }
  if (!on_host()) device().synchronize(stream_);
}

void Reducer::exchange_parts(int64_t bucket, std::byte* data) {
  const int64_t begin = shards_.bucket(bucket).begin;
  const Piece mine = shards_.part(bucket, ranks_.rank());
  std::byte* const result = data + size_t(mine.begin - begin) * element_;
  std::vector<Bytes> send;
  std::vector<MutableBytes> receive;
  std::vector<void*> terms;
  for (int r = 0; r < ranks_.size(); ++r) {
    const Piece theirs = shards_.part(bucket, r);
    const bool own = r == ranks_.rank();
    std::byte* const term = own ? result : at(*received_, r * largest_part_);
    send.emplace_back(data + size_t(theirs.begin - begin) * element_, own ? 0 : size_t(theirs.size()) * element_);
    receive.emplace_back(term, own ? 0 : size_t(mine.size()) * element_);
    terms.push_back(term);
  }
  Trace("exchange", "bucket", bucket), carrier().exchange(say("gradients of bucket ", bucket), send, receive);
  const Trace trace("sum", "bucket", bucket);
  // The own part may be an inner term that a round of the tree writes over: its memory is the result's anyway.
  sum_all(terms, result, mine.size(), parameters_.master_dtype(), where(), stream_);
}

void Reducer::gather_parts(int64_t bucket, const std::string& what, std::byte* data, size_t element) {
  const Trace trace("gather", "bucket", bucket);
  const auto part = [&](int r) {
    const Piece p = shards_.part(bucket, r);
    return MutableBytes(data + size_t(p.begin - shards_.bucket(bucket).begin) * element, size_t(p.size()) * element);
  };
  std::vector<Bytes> send(size_t(ranks_.size()), part(ranks_.rank()));
  std::vector<MutableBytes> receive;
  for (int r = 0; r < ranks_.size(); ++r) receive.push_back(part(r));
  send[size_t(ranks_.rank())] = receive[size_t(ranks_.rank())] = {};
  carrier().exchange(say("gathering ", what, " of bucket ", bucket), send, receive);
}

void Reducer::gather_weights() {
  connect();
  Storage& weights = parameters_.weight_storage();
  weights.touch();
  if (!on_host()) {
    device().synchronize({});  // the update is done
    for (int64_t b = 0; b < shards_.buckets(); ++b) gather_weights_of(b);
    device().synchronize(stream_);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    gathered_ = 0;
    gathering_ = true;
    weights.set_arrival(this);
  }
  changed_.notify_all();
}

void Reducer::gather_weights_of(int64_t bucket) {
  const Trace trace("gather weights", "bucket", bucket);
  const Storage& weights = parameters_.weight_storage();
  const size_t element = size_of(parameters_.dtype());
  const Piece whole = shards_.bucket(bucket);
  std::byte* const there = static_cast<std::byte*>(weights.data()) + size_t(whole.begin) * element;
  const size_t bytes = size_t(whole.size()) * element;
  std::byte* const data = staging_ ? at(*staging_, 0) : there;
  if (staging_) device().copy_out(data, there, bytes, stream_);
  gather_parts(bucket, "weights", data, element);
  if (staging_) device().copy_in(there, data, bytes, stream_);
}

}  // namespace hinoki
