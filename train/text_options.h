// The command-line options that say how raw text is read: the same for tokenizers and for corpora.
#pragma once
#include "data/text_prepare.h"

namespace CLI {
class App;
}

namespace hinoki {

void add_text_options(CLI::App& command, TextPreparation& settings);

}  // namespace hinoki
