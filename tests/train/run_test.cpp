// Training as a whole: a resumed run is the undisturbed run, bit by bit, and whatever is wrong is said.
#include "train/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/log.h"
#include "core/base/parallel.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/quiet_test.h"
#include "tests/support/tiny_run.h"
#include "train/model_folder.h"
#include "train/publication.h"

namespace hinoki::run_test {
namespace {

struct Bits {
  std::vector<double> losses, norms;
  std::string weights, moments;
  bool operator==(const Bits&) const = default;
};

void add_steps(Run& run, int64_t until, Bits& bits) {
  while (run.steps_done() < until) {
    const StepReport r = run.step();
    bits.losses.push_back(r.loss);
    bits.norms.push_back(r.gradient_norm);
  }
}

std::string raw(const Tensor& t) {
  return {static_cast<const char*>(t.data()), size_t(t.numel()) * size_of(t.dtype())};
}

void add_state(const Run& run, Bits& bits) {
  for (const Parameter& p : run.parameters().all()) {
    bits.weights += raw(p.value);
    bits.moments += raw(run.optimizer().first_moment(p)) + raw(run.optimizer().second_moment(p));
  }
}

Bits undisturbed(const GptConfig& config) {
  hinoki::Run run(config);
  Bits bits;
  add_steps(run, config.train.steps, bits);
  add_state(run, bits);
  return bits;
}

class RunTest : public test::QuietTest<> {};

TEST_F(RunTest, StoppedAtAnyStepAndResumedIsTheSameRun) {
  const test::TinyRun tiny;
  const Bits whole = undisturbed(tiny.config);
  int others = 0;
  for (int64_t k = 0; k < 20; ++k) {
    const GptConfig config = tiny.in("stopped-" + std::to_string(k));
    Bits bits;
    {
      hinoki::Run first(config);
      add_steps(first, k, bits);
      first.save();
    }
    hinoki::Run second(config);
    second.resume(find_usable(config.run + "/snapshots").found->path);
    ASSERT_EQ(second.steps_done(), k);
    add_steps(second, 20, bits);
    add_state(second, bits);
    EXPECT_EQ(bits.losses, whole.losses) << "stopped after step " << k;
    EXPECT_TRUE(bits == whole) << "stopped after step " << k;
    others += bits != whole;
  }
  std::printf("resumes: from each of 20 steps of a run, %d of them not bitwise the same\n", others);
}

TEST_F(RunTest, LearnsAndDoesNotDependOnThreads) {
  const test::TinyRun tiny;
  const Bits whole = undisturbed(tiny.config);
  // Before learning: about log(384) and a little for the spread of the first logits.
  EXPECT_NEAR(whole.losses.front(), std::log(384.0), 0.5);
  EXPECT_LT(whole.losses.back(), 4.0) << "a model that only knew the vocabulary would stay above 5.7";
  for (const int threads : {1, 3}) {
    ThreadPool own(threads);
    const UsePool use(own);
    EXPECT_TRUE(undisturbed(tiny.config) == whole) << threads << " threads";
  }
}

TEST_F(RunTest, RecomputeChangesNoBit) {
  const test::TinyRun tiny;
  GptConfig config = tiny.config;
  config.train.steps = 3;
  const Bits kept = undisturbed(config);
  config.train.recompute = Recompute::full;
  EXPECT_TRUE(undisturbed(config) == kept);
}

// Two micro-batches of three rows are one of six, dropout included, for its masks are counted over the global batch.
TEST_F(RunTest, MicroBatchesAreOneBatch) {
  const test::TinyRun tiny;
  GptConfig config = tiny.config;
  config.train = {.steps = 3, .batch = 6, .micro_batches = 1, .seed = 11};
  const Bits whole = undisturbed(config);
  config.train.batch = 3, config.train.micro_batches = 2;
  const Bits parts = undisturbed(config);
  ASSERT_EQ(parts.losses.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(parts.losses[i], whole.losses[i], 1e-6 * whole.losses[i]) << "step " << i + 1;
    EXPECT_NEAR(parts.norms[i], whole.norms[i], 1e-6 * whole.norms[i]) << "step " << i + 1;
  }
}

// What steps do to the weights, by hand: the gradient of the mean loss, shortened to optimizer.clip the way
// torch.nn.utils.clip_grad_norm_ does, goes to AdamW at the step's learning rate.
TEST_F(RunTest, ClipsTheGlobalNormOfTheGradient) {
  const test::TinyRun tiny;
  GptConfig config = tiny.config;
  config.train.steps = 4;
  for (const double clip : {0.0, 0.05, 2.0}) {
    config.optimizer.clip = clip;
    Parameters parameters(DType::f32);
    GptTask task(config, parameters);
    parameters.allocate();
    parameters.initialize(uint64_t(config.train.seed));
    Optimizer optimizer(parameters, config.optimizer);
    Bits by_hand;
    int shortened = 0;
    for (int64_t step = 0; step < 4; ++step) {
      parameters.clear_gradients();
      double loss = 0, targets = 0;
      for (const int64_t row : {0, 3}) {
        const auto examples = task.examples(step, row, 3);
        const Tensor sum =
            task.loss(*examples, {.training = true, .seed = 11, .step = uint64_t(step), .first_row = row});
        backward(sum);
        loss += sum.item(), targets += double(examples->targets);
      }
      parameters.finish_gradients();
      const double mean = 1 / targets, norm = optimizer.gradient_norm(mean);
      const bool long_one = clip > 0 && clip / (norm + 1e-6) < 1;
      shortened += long_one;
      optimizer.update(config.learning_rate.at(step, 4), mean * (long_one ? clip / (norm + 1e-6) : 1), step);
      by_hand.losses.push_back(loss * mean), by_hand.norms.push_back(norm);
    }
    const Bits run = undisturbed(config);
    EXPECT_EQ(run.losses, by_hand.losses) << clip;
    EXPECT_EQ(run.norms, by_hand.norms) << clip;
    for (const Parameter& p : parameters.all()) by_hand.weights += raw(p.value);
    EXPECT_TRUE(run.weights == by_hand.weights) << clip;
    EXPECT_EQ(shortened, clip == 0 ? 0 : clip == 0.05 ? 4 : 2) << clip;
  }
}

TEST_F(RunTest, AnotherModelsSnapshotIsRefused) {
  const test::TinyRun tiny;
  hinoki::Run run(tiny.config);
  const std::string path = run.save();
  GptConfig other = tiny.in("other");
  other.model.gpt_neox.num_hidden_layers = 1;
  hinoki::Run second(other);
  EXPECT_ERROR(second.resume(path), Exit::snapshot, "another model");
}

TEST_F(RunTest, NotANumberStopsTheRunAndNamesTheTensor) {
  const test::TinyRun tiny;
  hinoki::Run run(tiny.config);
  run.step();
  const Parameter& p = run.parameters().find("gpt_neox.layers.1.mlp.dense_4h_to_h.weight");
  p.value.as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(run.step(), Exit::numerical, "the weights of gpt_neox.layers.1.mlp.dense_4h_to_h.weight at element 5");
  EXPECT_EQ(run.steps_done(), 1);
}

TEST_F(RunTest, ATokenizerThatDoesNotMatchIsRefused) {
  const test::TinyRun tiny, other;
  GptConfig config = tiny.config;
  config.model.gpt_neox.vocab_size = 300;
  EXPECT_ERROR(hinoki::Run{config}, Exit::usage, "320 pieces");
}

TEST_F(RunTest, ASnapshotIsAModelFolder) {
  const test::TinyRun tiny;
  hinoki::Run run(tiny.config);
  run.step();
  const LoadedModel model = load_model(run.save());
  for (const Parameter& p : run.parameters().all())
    EXPECT_TRUE(test::same_bits(model.parameters->find(p.name).value, p.value.detach())) << p.name;
  GptConfig next = tiny.in("next");
  next.start_from = run.snapshots() + "/step-00000001";
  const hinoki::Run started(next);
  EXPECT_TRUE(test::same_bits(started.parameters().all()[3].value.detach(), run.parameters().all()[3].value.detach()));
}

}  // namespace
}  // namespace hinoki::run_test
