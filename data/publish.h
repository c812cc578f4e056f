// Files appear whole or not at all: written under a temporary name, synced, renamed.
#pragma once
#include <filesystem>
#include <string_view>

namespace hinoki {

// The name to write under first. Leftovers with it are of no use to anyone.
std::filesystem::path temporary_name(const std::filesystem::path& path);
// Syncs what was written under the temporary name, gives it its name, and syncs the folder.
void publish(const std::filesystem::path& path);
void write_published(const std::filesystem::path& path, std::string_view bytes);

}  // namespace hinoki
