#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/json.h"
#include "core/base/philox.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::metrics_test {
namespace {

TEST(Metrics, PrintsRecords) {
  EXPECT_EQ(print_metrics(3, {{"loss", 2.5}, {"tokens", int64_t{1} << 60}, {"lr", 1e-5}, {"kind", "訓練 \"x\"\n"}}),
            R"({"step": 3, "loss": 2.5, "tokens": 1152921504606846976, "lr": 1e-05, "kind": "訓練 \"x\"\n"})");
  EXPECT_EQ(print_metrics(0, {{"a", std::nan("")}, {"b", HUGE_VAL}, {"c", -HUGE_VAL}, {"d", 4.0}, {"e", 4}}),
            R"({"step": 0, "a": "nan", "b": "inf", "c": "-inf", "d": 4.0, "e": 4})");
  EXPECT_EQ(print_metrics(0, {{"sample", "broken \xff text"}}),
            "{\"step\": 0, \"sample\": \"broken \xef\xbf\xbd text\"}");
}

TEST(Metrics, DoublesReadBackBitByBit) {
  for (uint64_t i = 0; i < 10'000; ++i) {
    const Random4 bits = philox({.seed = 2}, i);
    const uint64_t pattern = uint64_t{bits[0]} << 32 | bits[1];
    double value;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isfinite(value)) continue;
    const Json record = parse_json(print_metrics(0, {{"x", value}}), "line");
    ASSERT_TRUE(record["x"].is_number_float());
    const double back = record["x"];
    ASSERT_EQ(std::memcmp(&back, &value, sizeof value), 0) << value;
  }
}

TEST(Metrics, ResumeRemovesLaterStepsAndCutLines) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  {
    MetricsFile file(path, -1);
    for (int64_t step = 1; step <= 6; ++step) file.append(step, {{"loss", 1.0 / static_cast<double>(step)}});
    file.append(4, {{"valid", 2.0}});  // an evaluation that ended late
    file.sync();
  }
  const auto lines = [&] { return read_file(path, 1 << 20); };
  FileWriter::append(path).write("{\"step\": 3, \"lo");
  { EXPECT_EQ(MetricsFile(path, 4).removed_until(), 6); }
  { EXPECT_EQ(MetricsFile(path, 4).removed_until(), -1); }
  EXPECT_EQ(lines(),
            "{\"step\": 1, \"loss\": 1.0}\n{\"step\": 2, \"loss\": 0.5}\n{\"step\": 3, \"loss\": 0.3333333333333333}\n"
            "{\"step\": 4, \"loss\": 0.25}\n{\"step\": 4, \"valid\": 2.0}\n");
  {
    MetricsFile file(path, 2);
    file.append(3, {});
  }
  EXPECT_EQ(lines(), "{\"step\": 1, \"loss\": 1.0}\n{\"step\": 2, \"loss\": 0.5}\n{\"step\": 3}\n");
  FileWriter::append(path).write("rubbish\n{\"step\": \"x\"}\n");
  { MetricsFile file(path, 2); }
  EXPECT_EQ(lines(), "{\"step\": 1, \"loss\": 1.0}\n{\"step\": 2, \"loss\": 0.5}\n");
  { MetricsFile file(path, -1); }
  EXPECT_EQ(lines(), "");
}

TEST(Metrics, FullDiskLeavesWholeLinesOnly) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  MetricsFile file(path, -1);
  file.append(1, {});
  {
    const FaultyDisk full({.at = 0, .error = ENOSPC, .half = true});
    expect_error(Exit::failure, {path, "No space left", "bytes free there"}, [&] { file.append(2, {}); });
  }
  file.append(3, {});
  EXPECT_EQ(read_file(path, 1 << 20), "{\"step\": 1}\n{\"step\": 3}\n");
}

TEST(Metrics, CutAtEveryCallTheOldLinesStay) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl", before = "{\"step\": 1}\n{\"step\": 2}\n",
                    after = "{\"step\": 1}\n";
  const auto resume = [&](FaultPlan plan) {
    write_file_durably(path, before);
    const FaultyDisk disk(plan);
    try {
      MetricsFile file(path, 1);
    } catch (const Error&) {
    }
    return FaultyDisk::calls();
  };
  const int64_t calls = resume({});
  EXPECT_GT(calls, 7);  // unlink, open, pwrite, fsync, close, rename, open the folder, fsync
  for (int64_t at = 0; at < calls; ++at) {
    resume({.at = at, .error = EIO, .for_ever = true, .half = true});
    const std::string text = read_file(path, 1 << 20);
    EXPECT_TRUE(text == before || text == after) << "call " << at << ": " << text;
  }
}

}  // namespace
}  // namespace hinoki::metrics_test
