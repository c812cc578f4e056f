// `hinoki data labels` as a command: what it says, and what it refuses.
#include <CLI/CLI.hpp>

#include "core/base/log.h"
#include "data/label_corpus.h"
#include "tests/support/expect_error.h"
#include "tests/support/spoken_corpus.h"
#include "tests/support/temporary_folder.h"
#include "train/commands.h"

namespace hinoki::data_labels_test {
namespace {

std::string run(std::vector<std::string> arguments) {
  CLI::App app;
  add_data_labels_command(app);
  std::reverse(arguments.begin(), arguments.end());
  testing::internal::CaptureStdout();
  try {
    app.parse(arguments);
  } catch (...) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

TEST(LabelsCommand, TellsHowClustersAreUsed) {
  const TemporaryFolder folder;
  const std::string speech = (folder / "speech").string(), book = (folder / "book.h5").string(),
                    out = (folder / "labels").string();
  test::write_spoken_corpus(speech);
  const SpeechCorpus corpus(speech, "train");
  const Codebook codebook = test::codebook_of(*open_features("mfcc", corpus), 8);
  write_codebook(book, codebook);
  const std::string said = run({"labels", speech, "--codebook", book, "--output", out});
  const LabelCorpus labels(out, corpus, "train");
  const LabelUsage usage = usage_of(labels.counts());
  char entropy[40];
  std::snprintf(entropy, sizeof entropy, "entropy %.4f nats of 2.0794", usage.entropy);
  for (const std::string& part :
       {codebook.hash() + ": 8 clusters of mfcc at 100 labels a second", std::string(entropy),
        say("train       ", labels.total(), " labels of 20 utterances, 2 shards (0 were there)"),
        std::string("validation  ")})
    EXPECT_NE(said.find(part), said.npos) << part << " is not in\n" << said;
  EXPECT_NE(run({"labels", speech, "--codebook", book, "--output", out}).find("already holds these labels"),
            std::string::npos);
  EXPECT_ERROR(run({"labels", speech, "--codebook", book, "--output", out, "--features", "fbank"}), Exit::usage,
               "\"fbank\"");
  EXPECT_ERROR(run({"labels", speech, "--codebook", speech, "--output", out}), Exit::data, "there is no codebook");
}

}  // namespace
}  // namespace hinoki::data_labels_test
