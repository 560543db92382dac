#include "detect_service.h"

#include <fmt/format.h>

#include <utility>

#include "nagl/core/error.h"
#include "nagl/core/version.h"
#include "nagl/detection/detection_overlay.h"
#include "nagl/detection/failure.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/image_bytes.h"
#include "nagl/jobs/score_output.h"

namespace nagl::service {
namespace {

/// Gives back on every way out.
template <typename Release>
class AtEnd {
 public:
  explicit AtEnd(Release release) : release_(std::move(release)) {}
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;
  ~AtEnd() { release_(); }

 private:
  Release release_;
};

Answer busy(const char* why) {
  Answer answer = refusal(503, why);
  answer.try_again = true;
  return answer;
}

}  // namespace

Answer refusal(int status, const std::string& why) {
  Answer answer;
  answer.status = status;
  answer.body = dump_json(Json{{"error", why}}) + "\n";
  return answer;
}

DetectService::DetectService(const ServeOptions& options, const jobs::JobObserver& observer)
    : timeout_(options.timeout),
      most_(options.queue),
      shelf_(options, notices_.observer()),
      metrics_(shelf_.names()),
      concurrency_(concurrency_of(shelf_.encoder())),
      decoded_(static_cast<std::ptrdiff_t>(concurrency_.pictures() + concurrency_.batch + 2)),
      queue_(concurrency_) {
  notices_.tell(observer);
}

std::optional<Answer> DetectService::refuse(const std::string& bank,
                                            const std::string& output) const {
  if (!shelf_.find(bank)) {
    return refusal(404, "there is no bank of that name; GET /v1/banks lists those there are");
  }
  if (output != "json" && output != "map" && output != "overlay") {
    return refusal(400, "output is json, map or overlay");
  }
  return std::nullopt;
}

Answer DetectService::detect(const DetectRequest& request) {
  const std::shared_ptr<const ServedBank> bank = shelf_.find(request.bank);
  const AtEnd leave([this] { --inside_; });
  if (++inside_ > most_) return busy("too many pictures wait; try again later");
  const auto deadline = request.begun + std::chrono::duration_cast<Clock::duration>(timeout_);
  if (!decoded_.try_acquire_until(deadline)) return busy(WaitedTooLong().what());
  const AtEnd release([this] { decoded_.release(); });
  try {
    Answer answer;
    // Beside the scores, an answer takes memory for pictures, which may not be there.
    const auto failure = failure_of([&] {
      const Image image =
          decode_image(request.bytes, request.picture, bank->detector.options().encoding.decode);
      const Detection found = queue_.add(bank, image, deadline).get();
      answer = answer_of(*bank, request, image, found);
    });
    if (failure) throw Error(fmt::format("'{}' {}", request.picture, *failure));
    return answer;
  } catch (const WaitedTooLong& error) {
    return busy(error.what());
  } catch (const DataError& error) {
    return refusal(422, error.what());
  } catch (const Error& error) {
    notices_.add(jobs::Level::kError, error.what());
    return refusal(500, error.what());
  }
}

Answer DetectService::answer_of(const ServedBank& bank, const DetectRequest& request,
                                const Image& image, const Detection& detection) {
  metrics_.scored(request.bank, detection.image_score, detection.verdict);
  if (const auto told = bank.see(image, detection.scores.raw_image_score())) {
    metrics_.drifted(request.bank);
    notices_.add(jobs::Level::kWarning, fmt::format("bank '{}': {}", request.bank, *told));
  }
  jobs::QueryFile query;
  query.file.path = request.picture;
  const Json record = jobs::record_of(query, detection).json();
  Json line{{"bank", request.bank}};
  line.update(record);
  Json remarks = Json::array();
  for (const auto& remark : image.remarks) remarks.push_back(remark.text);
  if (!remarks.empty()) line["remarks"] = std::move(remarks);

  Answer answer;
  if (request.output == "json") {
    answer.body = dump_json(line) + "\n";
    return answer;
  }
  answer.type = "image/png";
  line.erase("path");  // a header is ASCII, and short
  line.erase("remarks");
  if (line.contains("regions")) line["regions"] = line["regions"].size();
  answer.result = dump_json(line);
  answer.body = request.output == "map"
                    ? encode_png(map_picture(detection.map))
                    : encode_png(draw_overlay(overlay_content(image, detection, bank.scale)));
  return answer;
}

void DetectService::answered(const std::string& bank, int status, Clock::time_point begun) {
  const std::chrono::duration<double> seconds = Clock::now() - begun;
  metrics_.answered(shelf_.find(bank) ? bank : "", status, seconds.count());
}

std::string DetectService::metrics() const {
  const Backbone& backbone = shelf_.encoder().backbone();
  return metrics_.text(
      queue_.waiting(),
      {{"version", version()}, {"backbone", backbone.name()}, {"device", backbone.device().str()}});
}

void DetectService::tend(const jobs::JobObserver& observer) {
  shelf_.refresh(notices_);
  notices_.tell(observer);
}

}  // namespace nagl::service
