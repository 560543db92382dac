#include "experiment_options.h"

#include "nagl/core/json.h"
#include "recipe_options.h"

namespace nagl::apps {

std::string default_options() { return dump_json(option_to_json(ExperimentOptions()), 2) + "\n"; }

}  // namespace nagl::apps
