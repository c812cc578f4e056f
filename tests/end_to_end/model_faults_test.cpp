// Model folders from outside that are damaged, made up, or of another kind.
#include <gtest/gtest.h>

#include "core/base/json.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki::model_faults_test {
namespace {

using test::expect_outcome;

// A good model folder, to be spoilt.
class ModelFaults : public testing::Test {
 protected:
  ModelFaults() : good_(p_.newest_snapshot(p_.trained())), folder_(p_.path("model")) { restore(); }

  void restore() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    for (const char* name : {"config.json", "model.safetensors", "spiece.model"})
      std::filesystem::copy_file(good_ + "/" + name, folder_ + "/" + name);
  }
  std::string weights() const { return bytes_of_file(good_ + "/model.safetensors"); }
  void write(const std::string& name, const std::string& bytes) const { p_.tiny.folder.write("model/" + name, bytes); }

  // By import and by generate, within the memory of a small program, and nothing is left behind.
  void refused(const std::vector<std::string>& parts) {
    const std::string out = p_.path("imported");
    for (const std::vector<std::string>& command : {std::vector<std::string>{"import", folder_, out},
                                                    {"generate", folder_, "--prompt", "猫", "--max-tokens", "2"}})
      EXPECT_LT(expect_outcome(3, parts, command).peak_memory, small_) << command[0];
    for (const std::string& name : test::names_in(p_.tiny.folder.path().string()))
      EXPECT_FALSE(name.starts_with("imported"));
    restore();
  }

  // The weights with another header: `change` gets it as JSON.
  template <class Change>
  void write_header(const Change& change) {
    const std::string bytes = weights();
    uint64_t length;
    std::memcpy(&length, bytes.data(), 8);
    Json header = Json::parse(bytes.substr(8, length));
    change(header);
    write_file(header.dump(), bytes.substr(8 + length));
  }
  void write_file(const std::string& header, const std::string& data) const {
    const uint64_t length = header.size();
    write("model.safetensors", std::string(reinterpret_cast<const char*>(&length), 8) + header + data);
  }
  template <class Value>
  void write_config(const char* key, const Value& value) {
    Json config = Json::parse(bytes_of_file(good_ + "/config.json"));
    config[key] = value;
    write("config.json", config.dump());
  }

  test::TinyProgram p_;
  std::string good_, folder_;
  int64_t small_ = test::run_program({"--version"}).peak_memory + (64 << 20);
};

constexpr const char* kNorm = "gpt_neox.final_layer_norm.weight";

TEST_F(ModelFaults, WeightsThatAreCutShort) {
  const std::string bytes = weights(), place = folder_ + "/model.safetensors";
  write("model.safetensors", bytes.substr(0, bytes.size() - 100));
  refused({place, "it is cut short or damaged"});
  write("model.safetensors", bytes.substr(0, 1000));
  refused({place, "claims a header of", "cut short"});
  write("model.safetensors", bytes.substr(0, 5));
  refused({place, "has 5 bytes, too few"});
  write("model.safetensors", "");
  refused({place, "has 0 bytes, too few"});
  write("model.safetensors", bytes + "more");
  refused({place, "4 bytes from data byte", "belong to no tensor"});
}

TEST_F(ModelFaults, HeadersThatLie) {
  write("model.safetensors", std::string("\x00\xca\x9a\x3b\x00\x00\x00\x00{}", 10));
  refused({"claims a header of 1000000000 bytes; safetensors allows 100000000"});
  write("model.safetensors", std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10));
  refused({"claims a header of 18446744073709551615 bytes"});
  write_header([](Json& h) { h[kNorm]["data_offsets"] = {0, 128}; });
  refused({"inside the tensor that ends at"});
  write_header([](Json& h) { h.erase(kNorm); });
  refused({"leaves a hole behind the tensor"});
  write_header([](Json& h) { h[kNorm]["shape"] = {int64_t{1} << 60, 8}; });
  refused({kNorm, "larger than can be counted"});
  write_header([](Json& h) {
    const auto end = [](const Json& tensor) {
      return tensor.contains("data_offsets") ? tensor["data_offsets"][1].get<int64_t>() : 0;
    };
    Json& last = *std::max_element(h.begin(), h.end(), [&](const Json& a, const Json& b) { return end(a) < end(b); });
    last["shape"] = {int64_t{1} << 50};
    last["data_offsets"][1] = last["data_offsets"][0].get<int64_t>() + (int64_t{1} << 52);
  });
  refused({"but the file holds"});
  write_header([](Json& h) { h[kNorm]["data_offsets"] = {128, 0}; });
  refused({kNorm, "its offsets are 128 to 0"});
  write_header([](Json& h) { h[kNorm]["dtype"] = "F33"; });
  refused({kNorm, "unknown dtype \"F33\""});
  write_file(std::string(1 << 20, '['), "");
  refused({"the header at byte 8 is not a JSON object"});
  write_file("{\"a\":" + std::string(1 << 20, '['), "");
  refused({"header: "});
}

TEST_F(ModelFaults, TensorsThatDoNotFitTheModel) {
  const auto rename = [](Json& h, const char* to) { h[to] = h[kNorm], h.erase(kNorm); };
  write_header([&](Json& h) { rename(h, "gpt_neox.attention.bias"); });
  refused({folder_, std::string("the weights lack ") + kNorm + " of shape [32]"});
  write_config("num_hidden_layers", 1);
  refused({folder_, "the weights hold gpt_neox.layers.1.", "which this model does not have"});
  write_config("num_hidden_layers", 3);
  refused({folder_, "the weights lack gpt_neox.layers.2."});
  write_config("intermediate_size", 128);
  refused({folder_, "dense_h_to_4h.weight is [64, 32], config.json asks for [128, 32]"});
  write_header([](Json& h) { h[kNorm]["dtype"] = "I32"; });
  refused({kNorm, "holds i32, not a float type"});
}

TEST_F(ModelFaults, ConfigsThatLie) {
  const std::string place = folder_ + "/config.json";
  write("config.json", "{\"vocab_size\": 384}");
  refused({place, "has no \"model_type\""});
  write_config("model_type", "llama");
  refused({place, "model_type \"llama\" is not a language model that is known here; gpt_neox and gpt2 are"});
  write_config("vocab_size", int64_t{1} << 40);
  refused({place, "\"vocab_size\" is 1099511627776, which is not between 0 and 2147483647"});
  write_config("vocab_size", (int64_t{1} << 31) - 1);
  refused({"config.json asks for [2147483647, 32]"});
  write_config("hidden_size", (int64_t{1} << 31) - 2);
  refused({place, "hidden_size = 2147483646 is not between 1 and 1048576"});
  write_config("num_hidden_layers", (int64_t{1} << 31) - 1);
  refused({place, "num_hidden_layers = 2147483647 is not between 0 and 1024"});
  write_config("num_attention_heads", 0);
  refused({place, "num_attention_heads = 0"});
  write_config("rope_parameters", Json{{"partial_rotary_factor", 1.5}});
  refused({place, "rotary_pct 1.5 is not in [0, 1]"});
  write_config("rope_parameters", Json{{"rope_type", "yarn"}});
  refused({place, "rotary scaling of type \"yarn\" is not known here; linear is"});
  write_config("hidden_act", "relu");
  refused({place, "activation \"relu\" is not one of gelu"});
  write_config("vocab_size", "384");
  refused({place, "\"vocab_size\" is \"384\", which is not of its type"});
  write("config.json", "{\"model_type\": ");
  refused({place, "broken JSON at byte"});
  write("config.json", std::string(100000, '['));
  refused({place, "nested deeper than"});
  write("config.json", std::string(2 << 20, ' '));
  refused({place, "more than the 1048576"});
}

// Positions cost memory only where they are used.
TEST_F(ModelFaults, ManyPositionsCostNothing) {
  write_config("max_position_embeddings", (int64_t{1} << 31) - 1);
  const auto outcome =
      expect_outcome(0, {"猫"}, {"generate", folder_, "--prompt", "猫", "--max-tokens", "80", "--seed", "3"});
  EXPECT_LT(outcome.peak_memory, small_);
}

TEST_F(ModelFaults, PicklesAreNeverRead) {
  std::filesystem::remove(folder_ + "/model.safetensors");
  write("pytorch_model.bin", "PK");
  refused({folder_, "pickles (pytorch_model.bin), which are never read", "safe_serialization=True"});
  std::filesystem::remove(folder_ + "/model.safetensors");
  refused({folder_, "holds neither model.safetensors nor model.safetensors.index.json"});
}

TEST_F(ModelFaults, ShardsThatDoNotBelong) {
  const auto index = [&](const std::string& file) {
    std::filesystem::remove(folder_ + "/model.safetensors");
    write("model.safetensors.index.json", "{\"weight_map\": {\"gpt_neox.embed_in.weight\": \"" + file + "\"}}");
  };
  index("../../etc/passwd");
  refused({"is not a file of the folder"});
  index("model-00001-of-00002.safetensors");
  refused({folder_ + "/model-00001-of-00002.safetensors", "No such file"});
  index("config.json");
  refused({folder_ + "/config.json", "safetensors"});
}

}  // namespace
}  // namespace hinoki::model_faults_test
