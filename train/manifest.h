// manifest.json: what every file of a snapshot must hold, so that rot and cuts are found and named.
//
//   "files": for each its name, size, and an XXH3-128 hash per block of 4 MiB; for safetensors also each tensor's place
//   and hash, so that damage has a tensor's name even when the file's own header is what was hit.
//   "facts": what the writer wants to be known without opening anything else (step, recipe, ...).
//   "manifest_hash": the last entry, the hash of all text before it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "train/file_description.h"

namespace hinoki {

inline constexpr const char* kManifestName = "manifest.json";

// What their writer meant to write, by name: such files need not be read again.
using KnownFiles = std::map<std::string, Json>;
// Reads every other file below `folder`, writes and flushes the manifest.
void write_manifest(const std::string& folder, const Json& facts, const KnownFiles& known = {});

// The manifest, if it is whole; an Exit::snapshot error if it is absent, damaged or of another format.
Json read_manifest(const std::string& folder);
Json parse_manifest(std::string_view text, const std::string& name);

// A line for each damage: the file, the byte, the tensor. Empty if every byte is as it was written. Files that the
// manifest does not list are no damage.
std::vector<std::string> verify_snapshot(const std::string& folder);
// The same as an Exit::snapshot error.
void require_verified(const std::string& folder);

}  // namespace hinoki
