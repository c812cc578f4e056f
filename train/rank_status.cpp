#include "train/rank_status.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"

namespace hinoki {

RankStatus::RankStatus(const std::string& run, int rank) : path_(say(run, "/status/rank-", rank, ".json")) {
  if (is_file(path_)) remove_file(path_);
}

void RankStatus::write(Exit code, int64_t step, const std::string& message) const noexcept {
  try {
    const Json status = {{"exit", int(code)}, {"step", step}, {"message", message}};
    make_directory(parent_of(path_));
    write_file_durably(path_, status.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const std::exception& e) {
    warn(e.what());
  }
}

}  // namespace hinoki
