#include "tests/support/ranks_run.h"

#include <mutex>

#include "tests/support/ranks.h"
#include "train/gpt_task.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::test {
namespace {

std::string raw(const Tensor& t) {
  const Tensor here = to_device(t.detach(), Device::cpu);
  return {static_cast<const char*>(here.data()), size_t(here.numel()) * size_of(here.dtype())};
}

}  // namespace

Bits train(GptConfig config, const Way& way, int64_t until, bool save) {
  config.train.zero = way.zero;
  Bits bits;
  std::mutex mutex;
  on_ranks(
      way.ranks,
      [&](Communicator& ranks) {
        hinoki::Run run(config, ranks);
        if (const auto usable = find_usable(config.run + "/snapshots"); usable.found) run.resume(usable.found->path);
        std::vector<double> losses, norms;
        while (run.steps_done() < until) {
          const StepReport r = run.step();
          losses.push_back(r.loss);
          norms.push_back(r.gradient_norm);
        }
        if (save) run.save();
        const double evaluation = run.validate().loss;
        const std::lock_guard lock(mutex);
        if (ranks.first()) {
          bits.losses = losses;
          bits.norms = norms;
          bits.evaluations = {evaluation};
          for (const Parameter& p : run.parameters().all()) bits.weights[p.name] = raw(p.value);
        }
        for (const OwnedPart& p : run.optimizer().parts()) {  // every rank's, put together
          const size_t bytes = size_t(p.size) * 4, at = size_t(p.begin) * 4;
          for (const auto& [name, moment] :
               {std::pair("m.", run.optimizer().first_moment(p)), std::pair("v.", run.optimizer().second_moment(p))}) {
            std::string& whole = bits.moments[name + p.parameter->name];
            whole.resize(size_t(p.parameter->size()) * 4);
            whole.replace(at, bytes, raw(moment));
          }
        }
      },
      way.threads);
  return bits;
}

}  // namespace hinoki::test
