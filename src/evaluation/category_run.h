#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "encoded_references.h"
#include "example_keeper.h"
#include "nagl/detection/scorer.h"
#include "nagl/evaluation/evaluator.h"
#include "tally.h"

namespace nagl {

/// A draw of references for each combination of shots and seed.
std::vector<ReferenceDraw> draw_all(const Category& category, const EvaluationOptions& options,
                                    const RecordedDraws* replay,
                                    const std::function<bool(const Sample&)>& usable);

/// The evaluation of one category.
class CategoryRun {
 public:
  /// All must outlive it.
  CategoryRun(const PictureEncoder& encoder, const BankOptions& bank, const TrainedHead* head,
              const EvaluationOptions& options, const RoiFinder& roi, const Category& category);

  /// As `Evaluator::evaluate`.
  std::optional<CategoryResult> run(const RecordedDraws* replay,
                                    const std::filesystem::path& folder,
                                    const EvaluationObserver& observer);

 private:
  /// Methods that are scored against the same references, by their indices in Setting::methods.
  struct Group {
    std::int64_t turns = 1;
    std::vector<std::size_t> methods;
    std::map<std::string, std::shared_ptr<const ReferenceBank>> banks;  ///< by PlannedQuery::type
  };
  /// One draw of references: what queries are scored against, and what came of it.
  struct Setting {
    ReferenceDraw draw;
    std::vector<Group> groups;
    std::vector<std::string> types;               ///< by test picture: the type it is shown
    std::vector<bool> asked;                      ///< by test picture: whether it is a query
    std::vector<Method> methods;                  ///< that can be scored with these references
    std::vector<Method> unscored;                 ///< that cannot, as `draw.lacking` says
    std::vector<std::unique_ptr<Tally>> tallies;  ///< by method
  };

  void choose_references(const RecordedDraws* replay);
  void warn_of_few(const ReferenceDraw& draw);
  void make_settings();
  void make_groups(Setting& setting);
  bool score_validation(const EvaluationObserver& observer);
  bool score_queries(const EvaluationObserver& observer);
  bool score_unlabelled(const EvaluationObserver& observer);
  void score_query(Scorer& scorer, std::size_t index, const std::shared_ptr<ReadQuery>& query);
  void count(std::size_t index, const ReadQuery& query, const std::vector<PictureScores>& scores);
  void warn_of_copies(const std::vector<std::size_t>& asked);
  /// @param index of a test picture, whose type says which references it is shown; null: any
  std::vector<ScoringTarget> targets_of(const Setting& setting,
                                        std::optional<std::size_t> index) const;
  EvaluationRow row_of(const Setting& setting, Method method) const;
  CategoryResult finish(const std::filesystem::path& folder);

  const PictureEncoder& encoder_;
  const EvaluationOptions& options_;
  std::optional<double> top_share_;
  const RoiFinder& roi_;
  const Category& category_;
  EncodedReferences references_;
  std::vector<Setting> settings_;
  ExampleKeeper examples_;
  std::vector<std::string> warnings_;
  std::vector<Remark> remarks_;  ///< of queries
  std::int64_t unmasked_ = 0;
  std::string first_unmasked_;
  EvaluationTiming timing_;
};

}  // namespace nagl
