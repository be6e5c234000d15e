"""What the code says about the pages is true: sections, equations and files exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
METHOD = (ROOT / "docs" / "METHOD.md").read_text(encoding="utf-8")
SECTIONS = {int(number) for number in re.findall(r"^## (\d+)\. ", METHOD, re.MULTILINE)}
#: An equation is numbered at the end of an indented line.
EQUATIONS = [int(number) for number in re.findall(r"^ {4}.*\((\d+)\)$", METHOD, re.MULTILINE)]

_NUMBER = r"\(?(\d+)\)?"
_SECTION = re.compile(r"METHOD\.md(?:`*),? sections? (\d+)(?:(?:,| and) (\d+))?")
_EQUATION = re.compile(rf"[Ee]quations? {_NUMBER}(?:(?:,| and| to) {_NUMBER})?(?! of the paper)")
_PAGE = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")


def sources() -> list[Path]:
    """Return every file that may refer to a page."""
    found = [
        path
        for folder in ("src", "measurements", "examples", "tests")
        for ending in ("*.py", "*.yaml", "*.js", "*.html", "*.md")
        for path in (ROOT / folder).rglob(ending)
    ]
    found += sorted((ROOT / "docs").rglob("*.md"))
    found += sorted(ROOT.glob("*.md"))
    return [path for path in found if path != Path(__file__)]


def flowing(path: Path) -> str:
    """Return a file's text with line breaks and comment signs inside a sentence as spaces."""
    return re.sub(r"\s*\n[\s#/*]*", " ", path.read_text(encoding="utf-8"))


def references(pattern: re.Pattern[str], text: str) -> set[int]:
    """Return all numbers that the matches of a pattern name."""
    return {int(number) for match in pattern.finditer(text) for number in match.groups() if number}


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as the site makes them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def test_sections_and_equations_are_numbered_from_one_without_a_gap() -> None:
    assert sorted(SECTIONS) == list(range(1, len(SECTIONS) + 1))
    assert list(range(1, len(EQUATIONS) + 1)) == EQUATIONS
    assert len(SECTIONS) >= 7
    assert len(EQUATIONS) >= 6


@pytest.mark.parametrize(
    ("text", "sections", "equations"),
    [
        ("one image (METHOD.md section 6).", {6}, set()),
        ("see METHOD.md, sections 2 and 3", {2, 3}, set()),
        ("equation (9) of METHOD.md", set(), {9}),
        ("(METHOD.md, equations (1) and (4))", set(), {1, 4}),
        ("METHOD.md, equation 5", set(), {5}),
        ("equations 2 to 3", set(), {2, 3}),
    ],
)
def test_references_are_found(text: str, sections: set[int], equations: set[int]) -> None:
    assert references(_SECTION, text) == sections
    assert references(_EQUATION, text) == equations


def test_every_section_and_equation_that_is_named_exists() -> None:
    wrong = []
    named: set[int] = set()
    for path in sources():
        text = flowing(path)
        found = references(_EQUATION, text)
        named |= found
        wrong += [f"{path}: section {n}" for n in references(_SECTION, text) - SECTIONS]
        wrong += [f"{path}: equation {n}" for n in found - set(EQUATIONS)]
    assert not wrong
    assert set(EQUATIONS) <= named  # the pattern still finds what it is for


def test_every_page_that_is_named_exists() -> None:
    wrong = []
    for path in sources():
        for name in set(_PAGE.findall(flowing(path))):
            page, _, anchor = name.partition("#")
            if not (ROOT / page).is_file():
                wrong.append(f"{path}: {name}")
            elif anchor and anchor not in anchors((ROOT / page).read_text(encoding="utf-8")):
                wrong.append(f"{path}: {name}: no such heading")
    assert not wrong


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_root_pages_lead_somewhere(name: str) -> None:
    """The site checks the links of its own pages; these are read outside of it, too."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        page, _, anchor = target.partition("#")
        assert (ROOT / page).exists(), target
        if anchor:
            assert anchor in anchors((ROOT / page).read_text(encoding="utf-8")), target
