#include "nagl/core/csv.h"

#include <fmt/format.h>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::spill;

TEST(Csv, FieldsAreQuotedWhereNeeded) {
  EXPECT_EQ(csv_field("plain text"), "plain text");
  EXPECT_EQ(csv_field(""), "");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"a\""), "\"say \"\"a\"\"\"");
  EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_field("\r"), "\"\r\"");
}

TEST(Csv, IsReadByTheNamesOfItsFirstLine) {
  const testing::TemporaryFolder folder;
  // A byte-order mark, ends of lines of both kinds, an empty line, no end at the last.
  spill(folder / "a.csv", "\xEF\xBB\xBFname,note\r\none,\"a, \"\"b\"\"\nc\"\r\n\ntwo,");
  const auto rows = read_csv(folder / "a.csv", {"note"});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].get("name"), "one");
  EXPECT_EQ(rows[0].get("note"), "a, \"b\"\nc");
  EXPECT_EQ(rows[0].line, 2U);
  EXPECT_EQ(rows[1].get("name"), "two");
  EXPECT_EQ(rows[1].get("note"), "");
  EXPECT_EQ(rows[1].get("absent"), "");
  EXPECT_EQ(rows[1].line, 5U);
}

TEST(Csv, WhatIsWrittenIsRead) {
  const testing::TemporaryFolder folder;
  const std::vector<std::string> fields = {"a", "a,b", "\"", "\"\"", "x\r\ny", "\n", " s "};
  std::string text = "first,second\n";
  for (const auto& field : fields) text += csv_field(field) + "," + csv_field(field) + "\n";
  spill(folder / "a.csv", text);
  const auto rows = read_csv(folder / "a.csv", {});
  ASSERT_EQ(rows.size(), fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(rows[i].get("first"), fields[i]);
    EXPECT_EQ(rows[i].get("second"), fields[i]);
  }
}

TEST(Csv, SeparatorsAndNamesAsSpreadsheetsWriteThem) {
  const testing::TemporaryFolder folder;
  for (const char* text : {"Path;Label;Note\na,b;good;\"x;y\"\n",
                           "\xEF\xBB\xBF PATH\tlabel\tnote \r\na,b\tgood\tx;y\r\n",
                           "path,label,note\n\"a,b\",good,x;y\n"}) {
    spill(folder / "a.csv", text);
    const auto rows = read_csv(folder / "a.csv", {"path", "label"});
    ASSERT_EQ(rows.size(), 1U) << text;
    EXPECT_EQ(rows[0].get("path"), "a,b") << text;
    EXPECT_EQ(rows[0].get("label"), "good") << text;
    EXPECT_EQ(rows[0].get("note"), "x;y") << text;
  }
  spill(folder / "a.csv", "path,Path\n1,2\n");
  EXPECT_NE(
      message_of<DataError>([&] { read_csv(folder / "a.csv", {}); }).find("two columns 'path'"),
      std::string::npos);
  spill(folder / "a.csv", std::string("\xFF\xFEp\0a\0", 6));
  EXPECT_NE(message_of<DataError>([&] { read_csv(folder / "a.csv", {}); }).find("UTF-16"),
            std::string::npos);
}

TEST(Csv, BadFilesAreNamed) {
  const testing::TemporaryFolder folder;
  const auto message = [&](const std::string& text) {
    spill(folder / "bad.csv", text);
    return message_of<DataError>([&] { read_csv(folder / "bad.csv", {"name"}); });
  };
  const std::string file = (folder / "bad.csv").string();
  const auto expected = [&](const char* rest) { return fmt::format("'{}'{}", file, rest); };
  EXPECT_EQ(message("a,b\n"), expected(" has no column 'name' in its first line"));
  EXPECT_EQ(message(""), expected(" has no column 'name' in its first line"));
  EXPECT_EQ(message("name,b\n1,2\n3\n"),
            expected(", line 3: 1 fields, where the first line has 2"));
  EXPECT_EQ(message("name\na\n\"b\nc\n"), expected(", line 3: a quotation mark is not closed"));
  EXPECT_NE(message_of<DataError>([&] { read_csv(folder / "none.csv", {}); }).find("none.csv"),
            std::string::npos);
}

}  // namespace
}  // namespace nagl
