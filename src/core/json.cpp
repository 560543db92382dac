#include "nagl/core/json.h"

#include <cstddef>
#include <vector>

namespace nagl {
namespace {

constexpr std::size_t kDeepest = 100;
constexpr std::size_t kMostKeys = 20000;  // of one object: they are looked up one after the other

struct RefusedJson : Json::exception {
  explicit RefusedJson(const char* why) : Json::exception(600, why) {}
};

/// Goes over a text without building anything, and stops where a limit is exceeded. (The parser's
/// callback would do, but with it arrays take time that grows with the square of their length.)
struct Limits final : Json::json_sax_t {
  const char* exceeded = nullptr;
  std::vector<std::size_t> keys;  // so far, of each object and array that is open

  bool open() {
    keys.push_back(0);
    if (keys.size() > kDeepest) exceeded = "it is nested deeper than 100 levels";
    return exceeded == nullptr;
  }
  bool close() {
    keys.pop_back();
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override {
    if (++keys.back() > kMostKeys) exceeded = "an object in it has over 20000 keys";
    return exceeded == nullptr;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;  // the parse proper says it
  }
};

}  // namespace

Json parse_json(std::string_view text, bool comments) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    throw RefusedJson("it is UTF-16; save it as UTF-8");
  }
  Limits limits;
  Json::sax_parse(text, &limits, Json::input_format_t::json, /*strict=*/true, comments);
  if (limits.exceeded != nullptr) throw RefusedJson(limits.exceeded);
  return Json::parse(text, nullptr, /*allow_exceptions=*/true, comments);
}

std::optional<Json> try_parse_json(std::string_view text) {
  try {
    return parse_json(text);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nagl
