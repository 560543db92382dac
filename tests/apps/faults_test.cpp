#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::Outcome;
using testing::run_nagl;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Faults that were found in earlier versions, by running the executable on the inputs that showed
/// them, with a backbone of two small blocks.
class FaultsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_TEST_DATA(data);
    faults = data / "cases/faults";
    fs::copy(faults / "pictures/woven", folder / "woven", fs::copy_options::recursive);
    fs::copy(faults / "pictures/a.png", folder / "a.png");
  }
  Outcome nagl(const std::string& arguments, const std::string& before = "") const {
    return run_nagl(arguments, "cd " + folder.path().string() + "; export NAGL_BACKBONE=" +
                                   (faults / "tiny.safetensors").string() + "; " + before);
  }
  Outcome enroll(const std::string& pictures, const std::string& bank) const {
    return nagl("enroll --normal " + pictures + " --image-size 112 --out " + bank);
  }
  void copy(const std::string& from, const std::string& to) const {
    fs::create_directories((folder / to).parent_path());
    fs::copy(folder / from, folder / to);
  }
  std::size_t normal_pictures(const std::string& bank) const {
    const Outcome shown = nagl("inspect --json " + bank);
    return nlohmann::json::parse(shown.out)["metadata"]["bank"]["normal"].size();
  }

  TemporaryFolder folder;
  fs::path faults;
};

TEST_F(FaultsTest, goldenCopiesOfTheOnlyReferenceSayNothing) {
  copy("a.png", "one/a.png");
  copy("a.png", "dup/1.png");
  copy("a.png", "dup/2.png");
  ASSERT_EQ(enroll("one", "b.st").exit_code, 0);
  for (const char* more : {"", " --abnormal woven/test/hole --best-f1"}) {
    const Outcome run = nagl(std::string("calibrate --bank b.st --normal dup") + more);
    EXPECT_EQ(run.exit_code, 2) << run.err;
    EXPECT_TRUE(contains(run.err, "copies of the bank's only reference")) << run.err;
  }
}

TEST_F(FaultsTest, goldenABankOfCopiesIsOneOfALonePicture) {
  copy("a.png", "one/a.png");
  ASSERT_EQ(enroll("one", "one.st").exit_code, 0);
  const Outcome lone = nagl("calibrate --bank one.st --json");
  for (const int count : {2, 5}) {
    const std::string name = "c" + std::to_string(count);
    for (int i = 0; i < count; ++i) copy("a.png", name + "/" + std::to_string(i) + ".png");
    const Outcome made = enroll(name, name + ".st");
    ASSERT_EQ(made.exit_code, 0) << made.err;
    EXPECT_TRUE(contains(made.err, "is a copy of")) << made.err;
    EXPECT_EQ(normal_pictures(name + ".st"), 1U);
    const Outcome calibrated = nagl("calibrate --bank " + name + ".st --json");
    EXPECT_EQ(calibrated.out, lone.out);
  }
}

TEST_F(FaultsTest, goldenTwoThatChangeABankDoNotLoseEachOthersPictures) {
  ASSERT_EQ(enroll("woven/train/good", "b.st").exit_code, 0);
  const std::size_t before = normal_pictures("b.st");
  const std::string add = "enroll --add --image-size 112 --out b.st --normal ";
  Outcome one, other;
  std::thread first([&] { one = nagl(add + "woven/test/good"); });
  std::thread second([&] { other = nagl(add + "woven/test/hole"); });
  first.join();
  second.join();
  std::size_t expected = before;
  for (const auto& [run, from] :
       {std::pair(&one, "woven/test/good"), {&other, "woven/test/hole"}}) {
    if (run->exit_code == 0) {
      expected += static_cast<std::size_t>(
          std::distance(fs::directory_iterator(folder / from), fs::directory_iterator()));
    } else {
      EXPECT_EQ(run->exit_code, 2) << run->err;
      EXPECT_TRUE(contains(run->err, "another process is changing the bank")) << run->err;
    }
  }
  EXPECT_GT(expected, before);
  EXPECT_EQ(normal_pictures("b.st"), expected);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST_F(FaultsTest, goldenDeepJsonIsRefusedByAllReaders) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  spill(folder / "c.json", R"({"trainer":{"epochs":)" + deep + "}}");
  spill(folder / "m.json", R"({"pictures":[{"path":)" + deep + R"(,"label":"good"}]})");
  spill(folder / "r.json", R"({"references":)" + deep + "}");
  spill(folder / "i.json", R"({"meta":{"normal_class":"OK"},"train":)" + deep + R"(,"test":[]})");
  spill(folder / "k.json", R"({"images":[{"file_name":"a.png","width":64,"height":64,"id":)" +
                               deep + R"(}],"annotations":[{"image_id":1,"bbox":[0,0,1,1]}]})");
  const std::string header = R"({"__metadata__":)" + deep + "}";
  std::string length;
  for (std::size_t i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> 8 * i & 0xFF);
  spill(folder / "w.safetensors", length + header);
  const std::string scored = "score --normal woven/train/good --image-size 112 a.png ";
  for (const auto& [arguments, code] : std::vector<std::pair<std::string, int>>{
           {"train --config c.json --data woven --out t", 2},
           {"inspect m.json --format manifest", 3},
           {"evaluate --data woven --image-size 112 --references r.json --out e", 3},
           {"inspect i.json --format real_iad", 3},
           {scored + "--abnormal a.png --masks k.json --method both_nn", 3},
           {"inspect w.safetensors", 4}}) {
    const Outcome run = nagl(arguments);
    EXPECT_EQ(run.exit_code, code) << arguments << ": " << run.err;
    EXPECT_TRUE(contains(run.err, code == 4 ? "not valid JSON" : "nested")) << run.err;
  }
}

TEST_F(FaultsTest, goldenAHeadOfFewBytesTakesNoMemory) {
  auto metadata = nlohmann::json::parse(slurp(faults / "11-wide-head-allocates/head.json"));
  metadata["width"] = "20000";
  metadata["heads"] = "1";
  const std::string header =
      nlohmann::json({{"__metadata__", metadata},
                      {"learnable_proxies.weight",
                       {{"dtype", "F32"}, {"shape", {1, 20000}}, {"data_offsets", {0, 80000}}}}})
          .dump();
  std::string length;
  for (std::size_t i = 0; i < 8; ++i) length += static_cast<char>(header.size() >> 8 * i & 0xFF);
  spill(folder / "w.safetensors", length + header + std::string(80000, '\0'));
  const Outcome run = nagl(
      "score --normal woven/train/good --method nagl --model w.safetensors --image-size 112 a.png");
  EXPECT_EQ(run.exit_code, 4) << run.err;
  EXPECT_TRUE(contains(run.err, "tensors are missing")) << run.err;
  EXPECT_LT(run.peak_kib, 1 << 20);
}

TEST_F(FaultsTest, goldenOneOutputFolderTakesOneRun) {
  ASSERT_EQ(enroll("woven/train/good", "b.st").exit_code, 0);
  Outcome one, other;
  std::thread first([&] { one = nagl("score --bank b.st --out o woven/test/good"); });
  std::thread second([&] { other = nagl("score --bank b.st --out o woven/test/hole"); });
  first.join();
  second.join();
  EXPECT_NE(one.exit_code == 0, other.exit_code == 0) << one.err << other.err;
  const Outcome& refused = one.exit_code == 0 ? other : one;
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_FALSE(fs::exists(folder / "o/.lock"));
}

TEST_F(FaultsTest, goldenALargePictureIsSkippedAndTheOthersAreScored) {
  // 12000 x 12000 in 140 KB: more pixels than are allowed here, or more memory than there is.
  const std::string make =
      "python3 -c 'import zlib,struct; w=h=12000; c=lambda t,d: struct.pack(\">I\",len(d))+t+d+"
      "struct.pack(\">I\",zlib.crc32(t+d)); "
      "open(\"big.png\",\"wb\").write(b\"\\x89PNG\\r\\n\\x1a\\n\"+"
      "c(b\"IHDR\",struct.pack(\">IIBBBBB\",w,h,8,0,0,0,0))+c(b\"IDAT\",zlib.compress(bytes((w+1)*"
      "h)))"
      "+c(b\"IEND\",b\"\"))' || exit 9; ";
  ASSERT_EQ(enroll("a.png", "b.st").exit_code, 0);
  const Outcome run = nagl("score --bank b.st --json --max-pixels 100000000 big.png a.png", make);
  ASSERT_NE(run.exit_code, 9);
  EXPECT_EQ(run.exit_code, 3) << run.err;
  EXPECT_TRUE(contains(run.out, "a.png\",\"image_score\"")) << run.out;
  EXPECT_TRUE(contains(run.err, "--max-pixels")) << run.err;
  for (const char* kib : {"1500000", "1800000", "2200000"}) {
    const Outcome tight = nagl("score --bank b.st --json --threads 1 big.png a.png",
                               std::string("ulimit -v ") + kib + "; ");
    if (!contains(tight.err, "more memory")) continue;  // it was enough, or not even for Torch
    EXPECT_EQ(tight.exit_code, 3) << tight.err;
    EXPECT_TRUE(contains(tight.out, "a.png\",\"image_score\"")) << tight.out << tight.err;
  }
}

TEST_F(FaultsTest, goldenAClosedOutputIsNoFileOfOurs) {
  ASSERT_EQ(enroll("woven/train/good", "b.st").exit_code, 0);
  const Outcome run = nagl("score --bank b.st --json --out o a.png >&-");
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string lines = slurp(folder / "o/results.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << lines;
}

TEST_F(FaultsTest, goldenQueriesOfOneNameGetPlacesOfTheirOwn) {
  ASSERT_EQ(enroll("woven/train/good", "b.st").exit_code, 0);
  copy("a.png", "x/a.png");
  copy("woven/test/hole/000.png", "y/a.png");
  const Outcome named = nagl("score --bank b.st --out named x/a.png y/a.png");
  EXPECT_EQ(named.exit_code, 0) << named.err;
  EXPECT_TRUE(fs::exists(folder / "named/maps/x/a.png"));
  EXPECT_TRUE(fs::exists(folder / "named/maps/y/a.png"));
  // As other systems write lists: a byte order mark, quotation marks, backslashes.
  spill(folder / "list", "\xEF\xBB\xBFx/a.png\r\n\"y/a.png\"\nx\\a.png\n");
  const Outcome listed = nagl("score --bank b.st --out listed - < list");
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_TRUE(fs::exists(folder / "listed/maps/y/a.png"));
  spill(folder / "utf16", std::string("\xFF\xFEx\0/\0", 6));
  EXPECT_TRUE(contains(nagl("score --bank b.st - < utf16").err, "UTF-16"));
  spill(folder / "zero", std::string("x/a.png\0y\n", 10));
  EXPECT_TRUE(contains(nagl("score --bank b.st - < zero").err, "zero byte"));
}

TEST_F(FaultsTest, goldenAnEvaluationDoesNotGoOnWithOtherMasks) {
  const std::string evaluate =
      "evaluate --data woven --image-size 112 --methods normal_nn --out e ";
  const Outcome first = nagl(evaluate);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(nagl(evaluate + "--resume").exit_code, 0);
  fs::path mask;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "woven/ground_truth")) {
    if (entry.is_regular_file()) mask = entry.path();
  }
  ASSERT_FALSE(mask.empty());
  std::string bytes = slurp(mask);
  bytes.back() = static_cast<char>(bytes.back() + 1);  // of the same size
  spill(mask, bytes);
  const Outcome changed = nagl(evaluate + "--resume");
  EXPECT_EQ(changed.exit_code, 2) << changed.err;
  EXPECT_TRUE(contains(changed.err, "have changed since")) << changed.err;
}

TEST_F(FaultsTest, goldenADamagedRunFolderIsNamed) {
  for (const char* text : {"{}", "[]", "3", "{\"options\": 3}", "{", ""}) {
    spill(folder / "t/run.json", text);
    const Outcome run = nagl("train --data woven --image-size 112 --out t --resume");
    EXPECT_EQ(run.exit_code, 3) << text << run.err;
    EXPECT_TRUE(contains(run.err, "t/run.json")) << text << run.err;
  }
  for (const char* text : {"[]", "3", "{"}) {
    spill(folder / "e/evaluation.json", text);
    const Outcome run = nagl("evaluate --data woven --image-size 112 --out e --resume");
    EXPECT_EQ(run.exit_code, 3) << text << run.err;
    EXPECT_TRUE(contains(run.err, "evaluation.json' is damaged")) << text << run.err;
  }
}

TEST_F(FaultsTest, goldenFailuresLeaveNoFolders) {
  for (const char* arguments :
       {"enroll --normal absent --out new/deep/b.st", "calibrate --bank new/deep/b.st",
        "score --normal woven/train/good --image-size 100 --out new/deep a.png",
        "train --data absent --out new/deep/t", "evaluate --data absent --out new/deep/e",
        "enroll --normal woven/train/good --image-size 113 --out new/deep/b.st"}) {
    EXPECT_NE(nagl(arguments).exit_code, 0) << arguments;
    EXPECT_FALSE(fs::exists(folder / "new")) << arguments;
  }
}

TEST_F(FaultsTest, goldenNumbersOutOfRangeAreRefused) {
  for (const auto& [arguments, code] : std::vector<std::pair<std::string, int>>{
           {"train --data woven --out t --set encoding.decode.bit_depth=-4294967280", 2},
           {"train --data woven --out t --set trainer.epochs=9223372036854775808", 2},
           {"train --data woven --out t --set trainer.seed=-1", 2},
           {"score --normal a.png --watch woven --settle nan", 2},
           {"score --normal a.png --coreset nan a.png", 2},
           {"score --normal a.png --top-share nan a.png", 2},
           {"score --normal a.png --abnormal-weight nan a.png", 2},
           {"score --normal a.png --tile 112 --overlap nan a.png", 2},
           {"score --normal a.png --max-pixels 0 a.png", 2}}) {
    const Outcome run = nagl(arguments);
    EXPECT_EQ(run.exit_code, code) << arguments << run.err;
  }
}

}  // namespace
}  // namespace nagl
