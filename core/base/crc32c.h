// CRC-32C (Castagnoli), as record files use it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace hinoki {

uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace hinoki
