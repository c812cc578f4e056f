// Files appear whole or not at all: written under a temporary name, synced, renamed.
#pragma once
#include <filesystem>

namespace hinoki {

// The name to write under first. Leftovers with it are of no use to anyone.
std::filesystem::path temporary_name(const std::filesystem::path& path);
// Syncs what was written under the temporary name and closed, gives it its name, and syncs the folder.
void publish(const std::filesystem::path& path);

}  // namespace hinoki
