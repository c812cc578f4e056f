// Writes a few well-formed inputs for each fuzz target, from which mutation starts.
#include "core/base/file.h"
#include "core/safetensors_writer.h"

int main(int arguments, char** argument) {
  using namespace hinoki;
  if (arguments != 2) return 2;
  const std::string folder = argument[1];
  for (const char* name : {"config", "jsonl", "manifest", "safetensors"}) make_directory(folder + "/" + name);

  write_file_durably(folder + "/config/all",
                     "steps = 0x10\nclip = 1e-4\non = true\nkind = \"two\"\ntext = '''a\nb'''\nnumbers = [0.5, -1]\n"
                     "[part]\npath = \"x\\u3042\"\n[[parts]]\npath = \"a\"\nweight = 2\n[[parts]]\npath = \"b\"\n");
  write_file_durably(folder + "/config/inline", "part = { path = \"x\", weight = inf }\nparts = [ { path = '' } ]\n");
  write_file_durably(folder + "/config/override", "parts.0.weight=1_000.5");
  write_file_durably(folder + "/config/dates", "text = 1979-05-27T07:32:00Z\nsteps = 9223372036854775807 # end\n");

  write_file_durably(folder + "/manifest/all",
                     R"({"format": "hinoki snapshot", "version": 1, "facts": {"step": 1}, "files": [
 {"name": "m.safetensors", "bytes": 5, "blocks": ["0"], "tensors": [{"name": "w", "begin": 1, "end": 5, "hash": "0"}]},
 {"name": "state/x", "bytes": 0, "blocks": []}])");

  const auto write = [&](const std::string& name, std::vector<TensorSpec> specs) {
    const SafetensorsLayout layout(std::move(specs), {.stem = name});
    FileWriter file = FileWriter::create(folder + "/safetensors/" + name);
    file.write(layout.files()[0].header);
    file.truncate(layout.files()[0].bytes);
  };
  write("empty", {});
  write("one", {{"w", DType::f32, {2, 3}}});
  write("kinds",
        {{"a", DType::f64, {}}, {"b", DType::bf16, {1, 2, 1, 2}}, {"c", DType::u8, {3}}, {"d", DType::i64, {0}}});

  // The first byte chooses the settings (tests/fuzz/jsonl_fuzz.cpp).
  const std::string records = "{\"text\": \"むかし\\n\\u3042\"}\n\n{\"text\": \"\", \"n\": [1, {}]}\n";
  write_file_durably(folder + "/jsonl/records", "\x20" + records);
  write_file_durably(folder + "/jsonl/many", "\xF9" + records);
  write_file_durably(folder + "/jsonl/plain", "\x05" "ｱｲｳ　ﾃﾞｨ。\r\n\n\xE3\x81\x01 \xEF\xBB\xBF" "e\xCC\x81\n");
}
