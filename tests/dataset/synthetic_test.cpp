#include "nagl/dataset/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "../../src/dataset/synthetic_parts.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using synthetic::Picture;
using testing::TemporaryFolder;

SyntheticOptions small_options() {
  SyntheticOptions options;
  options.size = 96;
  options.train_good = 2;
  options.test_good = 3;
  options.test_defect = 2;
  return options;
}

/// Every file below `root`: its path relative to `root`, its bytes.
std::map<std::string, std::string> read_all(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), root).generic_string()] = testing::slurp(entry.path());
  }
  return files;
}

Picture render(const SyntheticOptions& options, std::size_t domain, std::size_t category,
               std::size_t type, std::uint64_t index, bool intact = false) {
  return synthetic::render({options.seed, domain, category, synthetic::kFirstDefect + type, index},
                           options.size, intact);
}

/// Calls `visit(domain, category, type, index)` for a few defects of each kind.
template <typename Visit>
void each_defect(std::uint64_t count, const Visit& visit) {
  const auto& domains = synthetic_domains();
  for (std::size_t domain = 0; domain < domains.size(); ++domain) {
    for (std::size_t category = 0; category < domains[domain].categories.size(); ++category) {
      for (std::size_t type = 0; type < domains[domain].defects.size(); ++type) {
        SCOPED_TRACE(domains[domain].categories[category] + ", " + domains[domain].defects[type]);
        for (std::uint64_t index = 0; index < count; ++index) visit(domain, category, type, index);
      }
    }
  }
}

TEST(Synthetic, HasTwoDomainsOfSeveralCategoriesAndDefects) {
  const auto& domains = synthetic_domains();
  ASSERT_EQ(domains.size(), 2U);
  EXPECT_EQ(domains[0].name, "surfaces");
  EXPECT_EQ(domains[1].name, "products");
  for (const SyntheticDomain& domain : domains) {
    EXPECT_GE(domain.categories.size(), 3U);
    EXPECT_GE(domain.defects.size(), 4U);
  }
}

TEST(Synthetic, WritesExactlyTheFilesOfTheLayout) {
  const TemporaryFolder folder;
  const SyntheticOptions options = small_options();
  std::vector<std::int64_t> steps;
  std::int64_t announced = 0;
  write_synthetic_dataset(folder / "data", options, [&](std::int64_t done, std::int64_t total) {
    steps.push_back(done);
    announced = total;
  });

  std::vector<std::string> expected;
  std::int64_t pictures = 0;
  const auto expect = [&](const std::string& split, int count, const std::string& ending) {
    for (int i = 0; i < count; ++i) {
      expected.push_back(split + "/00" + std::to_string(i) + ending);
      if (ending == ".png") ++pictures;
    }
  };
  for (const SyntheticDomain& domain : synthetic_domains()) {
    for (const std::string& category : domain.categories) {
      const std::string root = domain.name + "/" + category;
      expect(root + "/train/good", options.train_good, ".png");
      expect(root + "/test/good", options.test_good, ".png");
      for (const std::string& type : domain.defects) {
        expect(root + "/test/" + type, options.test_defect, ".png");
        expect(root + "/ground_truth/" + type, options.test_defect, "_mask.png");
      }
    }
  }
  std::sort(expected.begin(), expected.end());
  std::vector<std::string> written;
  for (const auto& [name, bytes] : read_all(folder / "data")) written.push_back(name);
  EXPECT_EQ(written, expected);
  EXPECT_EQ(announced, pictures);
  ASSERT_EQ(static_cast<std::int64_t>(steps.size()), pictures);
  EXPECT_EQ(steps.front(), 1);
  EXPECT_EQ(steps.back(), pictures);
}

TEST(Synthetic, SameSeedSameBytesWhateverTheThreadsAndCounts) {
  const TemporaryFolder folder;
  SyntheticOptions options = small_options();
  write_synthetic_dataset(folder / "first", options);
  const auto first = read_all(folder / "first");

  const int threads = cv::getNumThreads();
  cv::setNumThreads(1);
  write_synthetic_dataset(folder / "second", options);
  cv::setNumThreads(threads);
  EXPECT_TRUE(first == read_all(folder / "second"));

  options.test_good = 1;
  options.test_defect = 1;
  write_synthetic_dataset(folder / "fewer", options);
  for (const auto& [name, bytes] : read_all(folder / "fewer")) {
    EXPECT_TRUE(first.at(name) == bytes) << name;
  }

  options.seed = 1;
  write_synthetic_dataset(folder / "other", options);
  for (const auto& [name, bytes] : read_all(folder / "other")) {
    EXPECT_FALSE(first.at(name) == bytes) << name;
  }
}

TEST(Synthetic, EveryGoodPictureIsAnother) {
  const TemporaryFolder folder;
  SyntheticOptions options = small_options();
  options.test_defect = 0;
  write_synthetic_dataset(folder / "data", options);
  std::map<std::string, std::string> seen;
  for (const auto& [name, bytes] : read_all(folder / "data")) {
    const auto [twin, fresh] = seen.emplace(bytes, name);
    EXPECT_TRUE(fresh) << name << " equals " << twin->second;
  }
}

TEST(Synthetic, FilesHoldThePictureAndABinaryMaskOfItsSize) {
  const TemporaryFolder folder;
  const SyntheticOptions options = small_options();
  write_synthetic_dataset(folder / "data", options);
  each_defect(2, [&](std::size_t d, std::size_t c, std::size_t t, std::uint64_t index) {
    const SyntheticDomain& domain = synthetic_domains()[d];
    const fs::path root = folder / "data" / domain.name / domain.categories[c];
    const std::string number = "00" + std::to_string(index);
    const cv::Mat picture = cv::imread(
        (root / "test" / domain.defects[t] / (number + ".png")).string(), cv::IMREAD_UNCHANGED);
    const cv::Mat mask =
        cv::imread((root / "ground_truth" / domain.defects[t] / (number + "_mask.png")).string(),
                   cv::IMREAD_UNCHANGED);
    ASSERT_EQ(picture.type(), CV_8UC3);
    ASSERT_EQ(picture.size(), cv::Size(options.size, options.size));
    ASSERT_EQ(mask.type(), CV_8UC1);
    ASSERT_EQ(mask.size(), picture.size());
    const int marked = cv::countNonZero(mask);
    EXPECT_EQ(cv::countNonZero(mask == 255), marked);
    EXPECT_GT(marked, 0);
    EXPECT_LT(marked, 0.12 * static_cast<double>(mask.total()));

    const auto [rendered, truth] = render(options, d, c, t, index);
    EXPECT_EQ(cv::norm(picture, rendered, cv::NORM_INF), 0.0);
    EXPECT_EQ(cv::norm(mask, truth, cv::NORM_INF), 0.0);
  });
}

TEST(Synthetic, DefectIsVisibleInItsMaskAndNowhereElse) {
  SyntheticOptions options;
  options.size = 128;
  each_defect(8, [&](std::size_t d, std::size_t c, std::size_t t, std::uint64_t index) {
    const auto [broken, mask] = render(options, d, c, t, index);
    const auto [intact, nothing] = render(options, d, c, t, index, true);
    EXPECT_EQ(cv::countNonZero(nothing), 0);
    cv::Mat change;
    cv::absdiff(broken, intact, change);
    cv::transform(change, change, cv::Matx13f(1 / 3.0F, 1 / 3.0F, 1 / 3.0F));
    EXPECT_GT(cv::mean(change, mask)[0], 5.0) << "picture " << index;

    // Shadows and blur reach a little beyond: 16 of 512 units and 2 pixels.
    cv::Mat near;
    const int reach = 16 * options.size / 512 + 2;
    cv::dilate(mask, near, cv::Mat::ones(2 * reach + 1, 2 * reach + 1, CV_8U));
    EXPECT_EQ(cv::countNonZero(change & ~near), 0) << "picture " << index;
  });
}

TEST(Synthetic, TheFirstPictureOfATypeIsTheMostSevere) {
  SyntheticOptions options;
  options.size = 96;
  const auto area = [&](std::uint64_t index) {  // of type 3, the colour of a surface
    return cv::countNonZero(render(options, 0, 0, 3, index).mask);
  };
  for (const std::uint64_t index : {1U, 3U, 7U}) EXPECT_GT(area(0), area(index));
}

TEST(Synthetic, RefusesOptionsOutOfRange) {
  const auto refused = [](int SyntheticOptions::*field, int value) {
    SyntheticOptions options;
    options.*field = value;
    EXPECT_THROW(options.check(), ConfigError) << value;
  };
  EXPECT_NO_THROW(SyntheticOptions().check());
  refused(&SyntheticOptions::size, 63);
  refused(&SyntheticOptions::size, 4097);
  refused(&SyntheticOptions::train_good, 0);
  refused(&SyntheticOptions::test_good, -1);
  refused(&SyntheticOptions::test_defect, -1);
  refused(&SyntheticOptions::test_defect, 10001);

  const TemporaryFolder folder;
  SyntheticOptions options;
  options.size = 0;
  EXPECT_THROW(write_synthetic_dataset(folder / "data", options), ConfigError);
  EXPECT_FALSE(fs::exists(folder / "data"));
}

TEST(Synthetic, RefusesAFolderInUseAndWritesNothing) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "data" / "products" / "mine");
  const std::string message = testing::message_of<ConfigError>(
      [&] { write_synthetic_dataset(folder / "data", small_options()); });
  EXPECT_NE(message.find((folder / "data" / "products").string()), std::string::npos) << message;
  EXPECT_NE(message.find("choose"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(folder / "data" / "surfaces"));

  fs::remove(folder / "data" / "products" / "mine");
  EXPECT_NO_THROW(write_synthetic_dataset(folder / "data", small_options()));
}

TEST(Synthetic, NamesThePathThatCannotBeWritten) {
  const TemporaryFolder folder;
  testing::spill(folder / "file", "not a folder");
  const std::string message = testing::message_of<DataError>(
      [&] { write_synthetic_dataset(folder / "file", small_options()); });
  EXPECT_NE(message.find((folder / "file").string()), std::string::npos) << message;
}

}  // namespace
}  // namespace nagl
