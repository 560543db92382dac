#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nagl/core/enum_names.h"
#include "nagl/core/json.h"
#include "nagl/dataset/dataset.h"

namespace nagl {

/// Who refers to what, and who is asked.
enum class Protocol {
  /// References are drawn by seed and never scored, nor are other views of the same part
  /// (`Sample::part`); all queries of a category share them.
  kStrict,
  /// The published code's: references are slices of the sorted lists and stay among the queries; an
  /// abnormal reference has the query's own defect type, so good queries get one random type; a
  /// picture whose mask is empty counts as good; patch masks are aligned as in the published code.
  kPublished,
  /// As strict, and queries of the abnormal references' own defect types are left out: does a model
  /// generalise to defects that it has not been shown?
  kUnseen,
};

constexpr auto names_of(Protocol) {
  return EnumNames<Protocol, 3>{"protocol",
                                {{{Protocol::kStrict, "strict"},
                                  {Protocol::kPublished, "published"},
                                  {Protocol::kUnseen, "unseen"}}}};
}
/// One sentence for a report.
std::string describe(Protocol protocol);

/// A number of abnormal references: one of each defect type.
inline constexpr std::int64_t kOneOfEach = -1;

/// The references that were drawn for one category, seed and number of shots.
struct ReferenceDraw {
  std::string category;
  std::uint64_t seed = 0;
  std::int64_t normal_shots = 0;
  std::int64_t abnormal_shots = 0;  ///< may be kOneOfEach
  std::vector<std::filesystem::path> normal;
  /// By defect type. `published` shows a query those of its own type, the others show all of them.
  std::map<std::string, std::vector<std::filesystem::path>> abnormal;
  /// `published`: the type whose references good queries get.
  std::string good_query_type;
  /// Why there are no abnormal ones although some were asked for; else empty.
  std::string lacking;

  bool has_abnormal() const { return !abnormal.empty(); }
};

/// Chooses references, a pure function of its arguments.
/// @param seed the seed of `strict` and `unseen`; the slice's number of `published`
/// @param abnormal_shots of each type for `published`, else in all, or kOneOfEach
/// @param usable asked of a picture that is drawn as abnormal reference, whether its mask marks
///        anything at the network's size; `strict` and `unseen` draw another one instead
/// @throws DataError naming the category if there are too few pictures
ReferenceDraw draw_references(const Category& category, Protocol protocol, std::uint64_t seed,
                              std::int64_t normal_shots, std::int64_t abnormal_shots,
                              const std::function<bool(const Sample&)>& usable);

/// A picture to score, and which abnormal references it is shown.
struct PlannedQuery {
  const Sample* sample = nullptr;
  std::string type;  ///< of ReferenceDraw::abnormal; empty: all of them
};

/// The queries of a category, in the order of its test pictures.
std::vector<PlannedQuery> plan_queries(const Category& category, Protocol protocol,
                                       const ReferenceDraw& references);

/// Paths are written relative to the category's folder, so that a list serves a copy of the data.
Json to_json(const ReferenceDraw& references, const std::filesystem::path& category_folder);

/// Draws of an earlier evaluation, to use instead of drawing: its results.json, or its `references`
/// alone.
class RecordedDraws {
 public:
  /// @throws DataError naming the file if it is no such list
  explicit RecordedDraws(const std::filesystem::path& file);

  /// @throws DataError naming the file if it has none for these, or names a picture that the
  ///         category does not have
  ReferenceDraw find(const Category& category, std::uint64_t seed, std::int64_t normal_shots,
                     std::int64_t abnormal_shots) const;

 private:
  std::filesystem::path file_;
  Json list_;
};

/// The sample of `category` with this path. @throws std::out_of_range if there is none
const Sample& sample_at(const Category& category, const std::filesystem::path& path);

}  // namespace nagl
