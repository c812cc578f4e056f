// Any text is a manifest or an Error; also one whose hash somebody has made to fit. What a manifest lists stays inside.
#include <cstdlib>

#include "core/base/check.h"
#include "core/base/hash128.h"
#include "train/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hinoki;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string body = text + ",\n \"manifest_hash\": \"";
  for (const std::string& manifest : {text, body + hash128_hex(std::as_bytes(std::span(body))) + "\"\n}\n"}) {
    try {
      const Json parsed = parse_manifest(manifest, "fuzz");
      for (const Json& file : parsed.at("files")) {
        const std::string name = file.at("name");
        if (name.starts_with('/') || name.starts_with("../") || name == "..") std::abort();
      }
    } catch (const Error&) {
    }
  }
  return 0;
}
