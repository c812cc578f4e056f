// Writes a few well-formed inputs for each fuzz target, from which mutation starts.
#include "core/base/file.h"
#include "core/safetensors_writer.h"
#include "tests/data/sounds.h"

namespace {

// The first byte says what the rest is (tests/fuzz/speech_fuzz.cpp).
void write_speech(const std::string& folder) {
  using namespace hinoki;
  struct Kind {
    const char* name;
    int format, rate, channels;
  };
  for (const Kind& k : {Kind{"wav", kWav16, 16000, 1},
                        {"stereo", SF_FORMAT_WAVEX | SF_FORMAT_PCM_U8, 11025, 2},
                        {"float", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 1},
                        {"rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_24, 8000, 1},
                        {"law", SF_FORMAT_WAV | SF_FORMAT_ULAW, 8000, 1},
                        {"flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 8000, 1},
                        {"vorbis", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 8000, 1},
                        {"opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 8000, 1}}) {
    const std::string sound = folder + "/sound";
    write_sound(sound, k.format, sine(0.1, k.rate, k.channels), k.rate, k.channels);
    write_file_durably(folder + "/speech/" + k.name, std::string(1, '\0') + read_file(sound, 1 << 20));
    remove_file(sound);
  }
  write_file_durably(folder + "/speech/tsv", "\x01path\ttranscript\tother\na.wav\tはる\tx\n\nb.wav\n");
  write_file_durably(folder + "/speech/jsonl",
                     "\x02{\"path\": \"a.wav\", \"transcript\": \"は\\u3042\", \"kana\": null}\n");
  write_file_durably(folder + "/speech/kaldi", std::string("\x03"
                                                           "a x.wav\nb y.wav\nc z |\n") +
                                                   '\0' + "a はる\nb なつ\n");
}

}  // namespace

int main(int arguments, char** argument) {
  using namespace hinoki;
  if (arguments != 2) return 2;
  const std::string folder = argument[1];
  for (const char* name : {"chat", "config", "jsonl", "manifest", "safetensors", "speech"})
    make_directory(folder + "/" + name);

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
  write_file_durably(folder + "/jsonl/plain",
                     "\x05"
                     "ｱｲｳ　ﾃﾞｨ。\r\n\n\xE3\x81\x01 \xEF\xBB\xBF"
                     "e\xCC\x81\n");

  write_file_durably(
      folder + "/chat/all",
      "{\"messages\": [{\"role\": \"system\", \"content\": \"丁寧に\"}, {\"role\": \"user\", \"content\": \"山\"}, "
      "{\"role\": \"assistant\", \"content\": \"川\"}]}\n{\"prompt\": \"a\", \"completion\": \"b\\n\"}\n \n"
      "{\"instruction\": \"c\", \"input\": null, \"output\": \"\\u3042\"}\n"
      "{\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}\n"
      "{\"prompt\": [{\"role\": \"user\", \"content\": \"g\"}], \"chosen\": \"h\", \"rejected\": \"i\", "
      "\"completion\": \"j\"}\n");

  write_file_durably(
      folder + "/chat/faults",
      "{\"messages\": [{\"role\": \"user\", \"content\": \"山\"}, {\"role\": \"user\", \"content\": \"川\"}, "
      "{\"role\": \"assistant\", \"content\": \"空\"}]}\n{\"prompt\": \"a\", \"completion\": \"\"}\n"
      "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"b\"}\n");

  write_speech(folder);
}
