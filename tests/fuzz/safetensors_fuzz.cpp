// Any bytes are a safetensors file or an Error; of a file, all tensors lie inside and add up to it.
#include <cstdlib>

#include "core/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hinoki;
  try {
    const SafetensorsHeader header = read_safetensors_header(std::as_bytes(std::span(data, size)), "fuzz");
    int64_t bytes = header.data_start;
    for (const SafetensorsEntry& entry : header.entries) {
      if (entry.begin < 0 || entry.end < entry.begin) std::abort();
      if (entry.shape.numel() > entry.end - entry.begin) std::abort();
      bytes += entry.end - entry.begin;
    }
    if (bytes != static_cast<int64_t>(size)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
