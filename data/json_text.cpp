#include "data/json_text.h"

#include <nlohmann/json.hpp>

#include "core/base/check.h"

namespace hinoki {
namespace {

constexpr int kDeepest = 1000;

// Walks the record without building it, so that a hostile one costs no more than its length.
class Finder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Finder(std::string_view key, JsonText& out) : key_(key), out_(out) {}
  bool found() const { return found_; }

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(number_integer_t) override { return other(); }
  bool number_unsigned(number_unsigned_t) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool binary(binary_t&) override { return other(); }
  bool string(string_t& value) override {
    if (depth_ == 0) return other();
    if (depth_ == 1 && wanted_) {
      out_.text = std::move(value);
      found_ = true;
    }
    return true;
  }
  bool start_object(size_t) override { return depth_ == 0 ? ++depth_, true : deeper(); }
  bool end_object() override { return --depth_, true; }
  bool start_array(size_t) override { return depth_ == 0 ? other() : deeper(); }
  bool end_array() override { return --depth_, true; }
  bool key(string_t& name) override {
    if (depth_ == 1) wanted_ = name == key_;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& e) override {
    out_.position = position;
    const std::string what = e.what();  // "[json.exception.parse_error.101] parse error at ...: why"
    const size_t why = what.find(": ");
    out_.error = why == what.npos ? what : what.substr(why + 2);
    return false;
  }

 private:
  bool other() {
    if (depth_ == 0) return refuse("the record is not an object");
    if (depth_ == 1 && wanted_) return refuse(say("\"", key_, "\" is not a string"));
    return true;
  }
  bool deeper() {
    if (depth_ == 1 && wanted_) return refuse(say("\"", key_, "\" is not a string"));
    return ++depth_ < kDeepest ? true : refuse("it is nested too deeply");
  }
  bool refuse(const std::string& why) { return out_.error = why, false; }

  std::string_view key_;
  JsonText& out_;
  int depth_ = 0;
  bool wanted_ = false, found_ = false;
};

}  // namespace

JsonText json_text(std::string_view record, std::string_view key) {
  JsonText out;
  Finder finder(key, out);
  nlohmann::json::sax_parse(record, &finder);
  if (out.error.empty() && !finder.found()) out.error = say("there is no \"", key, "\" in the record");
  if (!out.error.empty()) out.text.clear();
  return out;
}

}  // namespace hinoki
