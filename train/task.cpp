#include "train/task.h"

#include "core/ops.h"
#include "models/peft.h"

namespace hinoki {

std::vector<std::string> Task::samples(int64_t) const { return {}; }

void Task::start_from(const std::string& folder, Parameters& parameters) const { fill_from(folder, parameters); }

void fill_from(const std::string& folder, Parameters& parameters, std::string_view may_lack) {
  if (!is_adapter_folder(folder)) return WeightSource(folder).fill(parameters, may_lack);
  const LoadedModel merged = load_model(folder);
  for (const Parameter& p : parameters.all())
    if (!p.training_only && (may_lack.empty() || !p.name.starts_with(may_lack)))
      parameters.set(p, cast(merged.parameters->find(p.name).value.detach(), parameters.master_dtype()));
}

}  // namespace hinoki
