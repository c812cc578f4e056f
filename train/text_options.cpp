#include "train/text_options.h"

#include <CLI/CLI.hpp>
#include <map>

namespace hinoki {

void add_text_options(CLI::App& command, TextPreparation& settings) {
  const std::map<std::string, Documents> documents{
      {"file", Documents::file}, {"paragraph", Documents::paragraph}, {"line", Documents::line}};
  const std::map<std::string, BrokenText> broken{
      {"fail", BrokenText::fail}, {"replace", BrokenText::replace}, {"skip", BrokenText::skip}};
  PieceSettings& pieces = settings.pieces;
  command.add_option("--input", settings.inputs, "A file or folder of UTF-8 text or JSONL, .gz and .zst among them")
      ->type_name("PATH")
      ->required();
  command
      .add_option(
          "--documents", pieces.documents,
          "What one document is in plain text: file, paragraph (blank lines between) or line; a JSONL record is "
          "always one (default: file)")
      ->transform(CLI::CheckedTransformer(documents).description(""))
      ->type_name("NAME");
  command.add_option("--json-key", pieces.json_key, "The key of a JSONL record that holds its text")
      ->capture_default_str();
  command.add_flag("--nfkc", pieces.clean.nfkc, "Normalise to Unicode NFKC: full- and half-width forms become one");
  command.add_option("--min-characters", pieces.min_characters, "Drop lines of fewer characters")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--broken-text", pieces.clean.broken,
                  "What to do with broken UTF-8: fail, replace (by U+FFFD) or skip (the line) (default: fail)")
      ->transform(CLI::CheckedTransformer(broken).description(""))
      ->type_name("NAME");
}

}  // namespace hinoki
