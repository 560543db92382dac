#!/usr/bin/env python3
"""README and docs: relative links lead somewhere, tables have whole rows, lines are not too long."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST = 110


def prose_of(page: Path) -> list[tuple[int, str]]:
    """The numbered lines of a page that are no code."""
    lines, in_code = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            lines.append((number, line))
    return lines


class DocsTest(unittest.TestCase):
    def test_relative_links_lead_somewhere(self) -> None:
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
                if not re.match(r"https?://|#", target):
                    self.assertTrue((page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}")

    def test_lines_are_not_too_long(self) -> None:
        for page in PAGES:
            for number, line in prose_of(page):
                if not line.startswith("|"):
                    self.assertLessEqual(len(line), LONGEST, f"{page.name}:{number}")

    def test_tables_have_whole_rows(self) -> None:
        for page in PAGES:
            cells = 0
            for number, line in prose_of(page):
                here = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
                if cells and here:
                    self.assertEqual(cells, here, f"{page.name}:{number}")
                cells = here


if __name__ == "__main__":
    unittest.main()
