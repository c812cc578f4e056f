#include "models/ctc_decode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

namespace hinoki {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

double log_add(double a, double b) {
  const double most = std::max(a, b);
  return most == kNever ? kNever : most + std::log1p(std::exp(std::min(a, b) - most));
}

// Frame by frame, log y of its classes.
class Frames {
 public:
  Frames(const Tensor& logits, int64_t blank) : logits_(logits), log_y_(size_t(logits.size(-1))) {
    require(logits.rank() == 2 && logits.contiguous() && 0 <= blank && blank < logits.size(1), "ctc: logits ",
            logits.shape(), " are not [frames, classes] with the blank ", blank, " among them");
  }
  int64_t count() const { return logits_.size(0); }
  int64_t classes() const { return logits_.size(1); }
  const float* scores(int64_t t) const { return logits_.as<float>() + t * classes(); }
  // Until the next call.
  const std::vector<double>& log_y(int64_t t) {
    const float* const x = scores(t);
    const double most = *std::max_element(x, x + classes());
    double sum = 0;
    for (int64_t v = 0; v < classes(); ++v) sum += std::exp(double(x[v]) - most);
    require<Exit::numerical>(std::isfinite(most) && std::isfinite(sum), "ctc: the logits of frame ", t,
                             " are not finite; are the model's weights?");
    for (int64_t v = 0; v < classes(); ++v) log_y_[size_t(v)] = double(x[v]) - most - std::log(sum);
    return log_y_;
  }

 private:
  const Tensor& logits_;
  std::vector<double> log_y_;
};

// A beginning of the text, one label longer than its parent.
struct Prefix {
  int32_t parent, id;
};

// How likely it is that the frames so far say a prefix, ending in a blank or in its last label.
struct Likelihood {
  double blank = kNever, label = kNever;
  double total() const { return log_add(blank, label); }
};

struct Beam {
  int32_t prefix;
  Likelihood p;
};

class BeamSearch {
 public:
  BeamSearch(int64_t blank, int64_t width) : blank_(int32_t(blank)), width_(size_t(width)) {
    prefixes_.push_back({-1, -1});
    beams_.push_back({0, {.blank = 0, .label = kNever}});
  }

  void step(const std::vector<double>& log_y) {
    std::vector<Beam> next;
    std::unordered_map<int32_t, size_t> place;  // of a prefix among the beams
    for (size_t i = 0; i < beams_.size(); ++i) place[beams_[i].prefix] = i;
    for (const Beam& b : beams_) next.push_back({b.prefix, stay(b, log_y, place)});
    const std::vector<Extension> found = extensions(log_y, place);
    std::vector<std::pair<double, size_t>> order;  // beams that stay, then extensions
    for (size_t i = 0; i < next.size(); ++i) order.push_back({next[i].p.total(), i});
    for (size_t i = 0; i < found.size(); ++i) order.push_back({found[i].p, next.size() + i});
    const size_t kept = std::min(width_, order.size());
    std::partial_sort(order.begin(), order.begin() + int64_t(kept), order.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::vector<Beam> best;
    for (size_t i = 0; i < kept; ++i) {
      if (const size_t at = order[i].second; at < next.size())
        best.push_back(next[at]);
      else if (const Extension& e = found[at - next.size()]; e.p != kNever)
        best.push_back({child(e.prefix, e.id), {.blank = kNever, .label = e.p}});
    }
    beams_ = std::move(best);
  }

  double log_p() const { return beams_.front().p.total(); }
  std::vector<int32_t> labels() const {
    std::vector<int32_t> ids;
    for (int32_t p = beams_.front().prefix; p != 0; p = prefixes_[size_t(p)].parent)
      ids.push_back(prefixes_[size_t(p)].id);
    return {ids.rbegin(), ids.rend()};
  }

 private:
  struct Extension {
    int32_t prefix, id;
    double p;
  };

  // Of `prefix` in the next frame that says `id`. A label that repeats the last one needs a blank before it.
  double extended(const Beam& b, int32_t id, const std::vector<double>& log_y) const {
    return log_y[size_t(id)] + (prefixes_[size_t(b.prefix)].id == id ? b.p.blank : b.p.total());
  }

  Likelihood stay(const Beam& b, const std::vector<double>& log_y,
                  const std::unordered_map<int32_t, size_t>& place) const {
    const Prefix& prefix = prefixes_[size_t(b.prefix)];
    Likelihood p{.blank = b.p.total() + log_y[size_t(blank_)], .label = kNever};
    if (b.prefix == 0) return p;
    p.label = b.p.label + log_y[size_t(prefix.id)];
    if (const auto parent = place.find(prefix.parent); parent != place.end())
      p.label = log_add(p.label, extended(beams_[parent->second], prefix.id, log_y));
    return p;
  }

  // Beginnings that are no beams yet. Of a beam's children the likeliest `width` can survive; its last label and those
  // that are beams already may take places before them.
  std::vector<Extension> extensions(const std::vector<double>& log_y,
                                    const std::unordered_map<int32_t, size_t>& place) const {
    std::vector<int32_t> ids(log_y.size());
    std::iota(ids.begin(), ids.end(), 0);
    ids.erase(ids.begin() + blank_);
    const size_t tried = std::min(ids.size(), 2 * width_ + 1);
    std::partial_sort(ids.begin(), ids.begin() + int64_t(tried), ids.end(), [&](int32_t a, int32_t b) {
      return log_y[size_t(a)] != log_y[size_t(b)] ? log_y[size_t(a)] > log_y[size_t(b)] : a < b;
    });
    std::vector<Extension> found;
    for (const Beam& b : beams_)
      for (size_t i = 0; i < tried; ++i) {
        const auto known = children_.find(key(b.prefix, ids[i]));
        if (known == children_.end() || !place.contains(known->second))
          found.push_back({b.prefix, ids[i], extended(b, ids[i], log_y)});
      }
    return found;
  }

  static uint64_t key(int32_t prefix, int32_t id) { return uint64_t(uint32_t(prefix)) << 32 | uint32_t(id); }
  int32_t child(int32_t prefix, int32_t id) {
    const auto [at, fresh] = children_.try_emplace(key(prefix, id), int32_t(prefixes_.size()));
    if (fresh) prefixes_.push_back({prefix, id});
    return at->second;
  }

  const int32_t blank_;
  const size_t width_;
  std::vector<Prefix> prefixes_;  // 0: the empty one
  std::unordered_map<uint64_t, int32_t> children_;
  std::vector<Beam> beams_;  // the likeliest first
};

}  // namespace

CtcText ctc_greedy(const Tensor& logits, int64_t blank) {
  Frames frames(logits, blank);
  CtcText text;
  int32_t before = int32_t(blank);
  for (int64_t t = 0; t < frames.count(); ++t) {
    const float* const x = frames.scores(t);
    const auto best = int32_t(std::max_element(x, x + frames.classes()) - x);
    text.log_p += frames.log_y(t)[size_t(best)];
    if (best != blank && best == before) text.labels.back().last = t;
    if (best != blank && best != before) text.labels.push_back({best, t, t});
    before = best;
  }
  return text;
}

CtcText ctc_beam(const Tensor& logits, int64_t blank, int64_t width) {
  require<Exit::usage>(width >= 1 && width <= 10000, "a beam of ", width, " is not between 1 and 10,000");
  Frames frames(logits, blank);
  BeamSearch search(blank, width);
  for (int64_t t = 0; t < frames.count(); ++t) search.step(frames.log_y(t));
  CtcText text = ctc_align(logits, blank, search.labels());
  text.log_p = search.log_p();
  return text;
}

CtcText ctc_align(const Tensor& logits, int64_t blank, const std::vector<int32_t>& labels) {
  Frames frames(logits, blank);
  const size_t states = 2 * labels.size() + 1;
  const auto class_of = [&](size_t s) { return size_t(s % 2 ? labels[s / 2] : int32_t(blank)); };
  std::vector<double> p(states, kNever), before(states, kNever);
  std::vector<uint8_t> steps(size_t(frames.count()) * states, 0);  // from which state: s, s - 1 or s - 2
  for (int64_t t = 0; t < frames.count(); ++t) {
    const std::vector<double>& log_y = frames.log_y(t);
    std::swap(p, before);
    for (size_t s = 0; s < states; ++s) {
      uint8_t& step = steps[size_t(t) * states + s];
      if (t == 0) {
        p[s] = s < 2 ? log_y[class_of(s)] : kNever;
        continue;
      }
      double best = before[s];
      if (s >= 1 && before[s - 1] > best) best = before[s - 1], step = 1;
      if (s >= 3 && s % 2 && labels[s / 2] != labels[s / 2 - 1] && before[s - 2] > best) best = before[s - 2], step = 2;
      p[s] = best + log_y[class_of(s)];
    }
  }
  if (frames.count() == 0) p[0] = 0;
  size_t s = states - 1;
  if (states > 1 && p[s - 1] > p[s]) --s;
  require<Exit::data>(p[s] > kNever, "ctc: ", labels.size(), " labels do not fit in ", frames.count(), " frames");
  CtcText text{.labels = {}, .log_p = p[s]};
  for (const int32_t id : labels) text.labels.push_back({id, -1, -1});
  for (int64_t t = frames.count() - 1; t >= 0; --t) {
    if (s % 2) {
      CtcLabel& label = text.labels[s / 2];
      if (label.last < 0) label.last = t;
      label.first = t;
    }
    s -= steps[size_t(t) * states + s];
  }
  return text;
}

}  // namespace hinoki
