// Snapshots of a HuBERT in pretraining: transformers' HubertModel, and beside it the heads that training needs.
#include <gtest/gtest.h>

#include "core/safetensors.h"
#include "tests/models/tiny_hubert.h"
#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/temporary_folder.h"
#include "train/hubert_folder.h"
#include "train/snapshot_writer.h"

namespace hinoki::hubert_snapshot_test {
namespace {

struct Training {
  test::PretrainedHubert hubert;
  Optimizer optimizer;

  explicit Training(uint64_t seed)
      : hubert(test::tiny_hubert(false), DType::f32, seed), optimizer(hubert.parameters, {}) {}
  void step(int64_t step) {
    const HubertInput input = test::masked_sound(2);
    hubert.parameters.clear_gradients();
    backward(hubert.model.loss(input, test::clusters_of(input), {.training = true, .step = uint64_t(step)}).total);
    hubert.parameters.finish_gradients();
    optimizer.update(1e-3, 1, step);
  }
  std::vector<double> all() const {
    std::vector<double> values;
    for (const Parameter& p : hubert.parameters.all())
      for (const Tensor& t : {p.value.detach(), optimizer.first_moment(p), optimizer.second_moment(p)})
        for (const double x : test::values(t)) values.push_back(x);
    return values;
  }
};

class HubertSnapshot : public test::QuietTest<> {
 protected:
  SnapshotTexts texts() const {
    RunConfig config;
    config.run = folder_.path().string();
    return {.config = config, .printed = "", .write_model = [](const std::string& folder) {
              write_hubert_texts(folder, {.model = test::tiny_hubert(false)}, DType::f32);
            }};
  }
  std::string save(const Training& t, int64_t step) const {
    SnapshotWriter writer(texts(), t.hubert.parameters);
    writer.save({.state = {.step = step}}, snapshot_pieces(t.hubert.parameters, t.optimizer));
    writer.wait();
    return writer.finished()->path;
  }

  TemporaryFolder folder_;
};

TEST_F(HubertSnapshot, HoldsTheHeadsApartFromTheModel) {
  Training trained(3);
  trained.step(0);
  const std::string path = save(trained, 1);
  const SafetensorsFile model = SafetensorsFile::open(path + "/model.safetensors"),
                        state = SafetensorsFile::open(path + "/state/optimizer.safetensors");
  for (const Parameter& p : trained.hubert.parameters.all()) {
    EXPECT_EQ(model.contains(p.name), !p.training_only) << p.name;
    EXPECT_EQ(state.contains("w." + p.name), p.training_only) << p.name;
  }
  EXPECT_TRUE(state.contains("w.label_embeddings") && state.contains("w.final_proj.weight"));

  const NoGrad no_grad;
  const HubertInput input{.samples = test::sound({1, 83}, 4)};
  EXPECT_TRUE(test::same_bits(load_hubert(path).hubert().forward(input, {}).hidden,
                              trained.hubert.model.hubert.forward(input, {}).hidden));
}

TEST_F(HubertSnapshot, GoesOnWithTheSameBits) {
  Training straight(3);
  straight.step(0);
  const std::string path = save(straight, 1);
  straight.step(1);
  Training other(99);
  EXPECT_EQ(load_snapshot(path, texts(), other.hubert.parameters, other.optimizer).step, 1);
  other.step(1);
  EXPECT_EQ(straight.all(), other.all());
}

TEST_F(HubertSnapshot, OfOtherHeadsIsRefused) {
  Training trained(3);
  const std::string path = save(trained, 1);
  HubertTargets more{.classes = 9, .final_dim = 8};
  Parameters parameters(DType::f32);
  const HubertForPretraining model(test::tiny_hubert(false), more, Scope(parameters));
  parameters.allocate();
  Optimizer optimizer(parameters, {});
  EXPECT_ERROR(load_snapshot(path, texts(), parameters, optimizer), Exit::snapshot, "label_embeddings");
}

}  // namespace
}  // namespace hinoki::hubert_snapshot_test
