#include "train/task.h"

#include "models/hugging_face.h"

namespace hinoki {

std::vector<std::string> Task::samples(int64_t) const { return {}; }

void Task::start_from(const std::string& folder, Parameters& parameters) const {
  WeightSource(folder).fill(parameters);
}

}  // namespace hinoki
