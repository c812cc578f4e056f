// Snapshots that are damaged, of another model, or absent; weights that are not numbers.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "core/safetensors.h"
#include "tests/end_to_end/tiny_program.h"
#include "train/publication.h"

namespace hinoki::snapshot_faults_test {
namespace {

using test::expect_outcome;

struct TwoSnapshots {
  test::TinyProgram p;
  std::string config = p.config("run"), run = p.path("run"), all = run + "/snapshots/";

  // Two snapshots, of steps 10 and 20.
  TwoSnapshots() { expect_outcome(0, {}, {"train", config, "log.snapshot_every=10"}); }
};

TEST(SnapshotFaults, OneFlippedBitFallsBackToTheSnapshotBefore) {
  const TwoSnapshots r;
  const std::string newest = r.all + "step-00000020", whole = test::weights_of(newest);
  const auto losses = test::losses_in(r.run);
  test::flip_bit(newest + "/model.safetensors", -1000);
  expect_outcome(4, {newest, "model.safetensors", "is damaged", "1 of 2 snapshots"}, {"snapshot", "verify", r.run});
  expect_outcome(0,
                 {"rejected a snapshot: " + newest + " cannot be used", "model.safetensors: the block of",
                  "resumed from " + r.all + "step-00000010"},
                 {"train", "--resume", r.run});
  EXPECT_TRUE(test::weights_of(newest) == whole) << "step 20 was made anew and took the place of the damaged one";
  EXPECT_EQ(test::losses_in(r.run), losses);
  expect_outcome(0, {newest + ": whole"}, {"snapshot", "verify", r.run});
}

TEST(SnapshotFaults, WithoutAnyWholeSnapshotNothingIsOverwritten) {
  const TwoSnapshots r;
  const std::string metrics = bytes_of_file(r.run + "/metrics.jsonl");
  test::flip_bit(r.all + "step-00000020/state/optimizer.safetensors", -1);
  test::flip_bit(r.all + "step-00000010/manifest.json", 100);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"train", r.config}, {"train", "--resume", r.run}})
    expect_outcome(
        4, {"step-00000020 cannot be used", "step-00000010 cannot be used", "no snapshot verifies", "move them away"},
        command);
  EXPECT_EQ(list_snapshots(r.all).size(), 2u);
  EXPECT_EQ(bytes_of_file(r.run + "/metrics.jsonl"), metrics);
}

TEST(SnapshotFaults, PartsThatAreMissing) {
  const TwoSnapshots r;
  std::filesystem::remove(r.all + "step-00000020/state/run.json");
  expect_outcome(0, {"state/run.json: is missing", "resumed from " + r.all + "step-00000010"},
                 {"train", "--resume", r.run});
  std::filesystem::remove_all(r.all);
  expect_outcome(4, {r.run + ": holds no snapshot to resume from"}, {"train", "--resume", r.run});
  expect_outcome(4, {"holds no snapshots"}, {"snapshot", "verify", r.run});
  expect_outcome(2, {"is not a folder"}, {"snapshot", "verify", r.all + "step-00000099"});
  expect_outcome(3, {r.all + "step-00000099", "holds neither model.safetensors"},
                 {"train", r.p.config("next"), "start_from=" + r.all + "step-00000099"});
}

// Whole by itself, and not of these files.
TEST(SnapshotFaults, AManifestOfAnotherSnapshotIsNoticed) {
  const TwoSnapshots r;
  const std::string newest = r.all + "step-00000020", older = r.all + "step-00000010";
  std::filesystem::copy_file(older + "/manifest.json", newest + "/manifest.json",
                             std::filesystem::copy_options::overwrite_existing);
  expect_outcome(4,
                 {newest + ": DAMAGED", "is damaged in tensor \"embed_out.weight\"", "in tensor \"m.embed_out.weight\"",
                  "state/run.json"},
                 {"snapshot", "verify", r.run});
  expect_outcome(0, {"rejected a snapshot: " + newest, "resumed from " + older}, {"train", "--resume", r.run});
  expect_outcome(0, {newest + ": whole"}, {"snapshot", "verify", r.run});
}

TEST(SnapshotFaults, OfAnotherModelIsRefused) {
  const TwoSnapshots r;
  const std::string bytes = test::weights_of(r.all + "step-00000020");
  expect_outcome(4,
                 {"step-00000020: this is a snapshot of another model", "model.num_hidden_layers = 2 -> 1",
                  "start a new run folder, or give its weights by start_from"},
                 {"train", r.config, "model.num_hidden_layers=1"});
  expect_outcome(0, {"the config has changed", "optimizer.beta2 = 0.95 -> 0.9"},
                 {"train", r.config, "optimizer.beta2=0.9", "train.steps=21"});
  EXPECT_TRUE(test::weights_of(r.all + "step-00000020") == bytes);
}

// Puts a value into the weights of a model folder.
void poison(const std::string& folder, const std::string& name, int64_t element) {
  const std::string path = folder + "/model.safetensors";
  std::string bytes = bytes_of_file(path);
  const SafetensorsHeader header = read_safetensors_header(std::as_bytes(std::span(bytes)), path);
  const float value = std::numeric_limits<float>::quiet_NaN();
  for (const SafetensorsEntry& entry : header.entries)
    if (entry.name == name) std::memcpy(&bytes[size_t(header.data_start + entry.begin + element * 4)], &value, 4);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(SnapshotFaults, WeightsThatAreNoNumbersStopTheRunAtOnce) {
  const TwoSnapshots r;
  const std::string model = r.all + "step-00000020";
  // A row that no batch uses: the loss would stay finite for ever, and so would every snapshot keep it.
  poison(model, "gpt_neox.embed_in.weight", 383 * 32 + 7);
  expect_outcome(5, {"start_from " + model, "the weights of gpt_neox.embed_in.weight at element 12263"},
                 {"train", r.p.config("next"), "start_from=" + model});
  EXPECT_TRUE(list_snapshots(r.p.path("next") + "/snapshots").empty());
  poison(model, "gpt_neox.final_layer_norm.weight", 3);
  expect_outcome(5, {"the logit of token 0 is not finite"}, {"generate", model, "--prompt", "猫"});
  expect_outcome(5, {"the loss is nan"}, {"eval", model, "--corpus", r.p.path("tokens")});
  expect_outcome(3, {"outputs that are not finite"}, {"import", model, r.p.path("imported")});
  EXPECT_FALSE(std::filesystem::exists(r.p.path("imported")));
}

// Weights of 3e38 are finite, what the next step makes of them is not.
TEST(SnapshotFaults, WeightsThatAreNoNumbersAreNotSaved) {
  const test::TinyProgram p;
  expect_outcome(5, {"step 1: not finite is the weights of", "no snapshot was written of it"},
                 {"train", p.config("wild"), "learning_rate.peak=1e40", "learning_rate.warmup=0", "train.steps=2",
                  "log.snapshot_every=1"});
  EXPECT_TRUE(list_snapshots(p.path("wild") + "/snapshots").empty());
}

TEST(SnapshotFaults, OfAnotherTokenizerIsRefused) {
  const TwoSnapshots r;
  const std::string text = r.p.tiny.folder.write("other.txt", test::numbered_lines(2000)).string();
  const std::string tokenizer = r.p.path("other"), tokens = r.p.path("other-tokens");
  expect_outcome(0, {"300 pieces"},
                 {"tokenizer", "train", "--input", text, "--output", tokenizer, "--vocabulary-size", "300"});
  expect_outcome(0, {},
                 {"data", "text", "--input", text, "--output", tokens, "--tokenizer", tokenizer, "--documents", "line",
                  "--validation-fraction", "0.2"});
  expect_outcome(4, {r.all + "step-00000020: was trained with the tokenizer", "bring back the one in the snapshot"},
                 {"train", r.config, "data.tokenizer=" + tokenizer, "data.corpora.0.path=" + tokens});
}

// A rate at which training explodes: stopped, with the weights of the step before, and never saved.
TEST(SnapshotFaults, ARunThatExplodesIsStoppedAndNotSaved) {
  const test::TinyProgram p;
  expect_outcome(5, {"the first value that is not finite is in", "a lower learning rate"},
                 {"train", p.config("wild"), "learning_rate.peak=1e38", "optimizer.clip=0", "train.steps=50"});
  EXPECT_TRUE(list_snapshots(p.path("wild") + "/snapshots").empty());
}

}  // namespace
}  // namespace hinoki::snapshot_faults_test
