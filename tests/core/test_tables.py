"""CSV as people save them: damage costs its own row, and what a spreadsheet adds is understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.core.tables import Table, read_table

COLOURS = ("Red", "Blue", "Green")


def read(tmp_path: Path, text: str, spills: bool = False) -> Table:
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    return read_table(path, spills)


def cells(table: Table) -> list[list[str]]:
    return [row.cells for row in table.rows]


def shirts(count: int = 40, **changed: str) -> str:
    """Rows of id, title and colour; ``r7='...'`` replaces the row of id 7."""
    rows = (f"{number},shirt {number},{COLOURS[number % 3]}" for number in range(count))
    lines = [changed.get(f"r{number}", row) for number, row in enumerate(rows)]
    return "\n".join(["id,title,colour", *lines]) + "\n"


# Quotes


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ({"r3": '3,"shirt 3,Red'}, 5),
        ({"r3": '3,shirt 3,"Red'}, 5),
        ({"r39": '39,"shirt 39,Red'}, 41),
        ({"r3": '3,"shirt 3,Red', "r9": '9,"Maker, shirt 9",Red'}, 5),
        ({"r3": '3,"shirt 3,Red', "r9": '9,shirt 9",Red'}, 5),  # together one row of three cells
        ({"r3": '"3,shirt 3,Red', "r4": '4",shirt 4,Blue'}, 5),
        ({"r3": '3,"shirt 3,Red', "r9": '9,"shirt 9,Red'}, 5),
        ({"r3": '3,"shirt 3,Red', "r9": '9,shirt 9""",Red'}, 5),
    ],
)
def test_a_quote_that_is_not_closed_costs_its_own_row_at_most(
    tmp_path: Path, damage: dict[str, str], line: int
) -> None:
    table = read(tmp_path, shirts(40, **damage))
    whole = {row.cells[0]: row.cells for row in table.rows}
    touched = {key[1:] for key in damage}
    for number in range(40):
        if str(number) not in touched:
            assert whole[str(number)] == [str(number), f"shirt {number}", COLOURS[number % 3]]
    assert len(table.rows) >= 39
    assert not any("\n" in cell for row in table.rows for cell in row.cells)
    assert any(f"line {line}" in text and "not closed" in text for text in table.notes)


def test_the_row_of_an_open_quote_is_read(tmp_path: Path) -> None:
    table = read(tmp_path, shirts(r3='3,"shirt 3,Red'))
    assert cells(table)[3] == ["3", "shirt 3", "Red"]
    assert table.notes == ["1 row has a quote that is not closed: line 5"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('3,"Vintage" tee,Red', ["3", "Vintage tee", "Red"]),
        ('3,5" heel,Red', ["3", '5" heel', "Red"]),
        ('3,"say ""hi"", you",Red', ["3", 'say "hi", you', "Red"]),
        ('3,"two\nlines, with comma",Red', ["3", "two\nlines, with comma", "Red"]),
        ('3,"a\nb\nc",Red', ["3", "a\nb\nc", "Red"]),
        ('3,"",Red', ["3", "", "Red"]),
    ],
)
def test_quotes_that_are_no_damage(tmp_path: Path, row: str, expected: list[str]) -> None:
    table = read(tmp_path, shirts(r3=row))
    assert cells(table)[3] == expected and len(table.rows) == 40 and table.notes == []


@given(place=st.integers(0, 39), column=st.integers(0, 2), end=st.booleans())
def test_one_stray_quote_anywhere_loses_no_other_row(
    tmp_path_factory: pytest.TempPathFactory, place: int, column: int, end: bool
) -> None:
    row = [str(place), f"shirt {place}", COLOURS[place % 3]]
    row[column] = row[column] + '"' if end else '"' + row[column]
    table = read(tmp_path_factory.mktemp("t"), shirts(40, **{f"r{place}": ",".join(row)}))
    assert len(table.rows) == 40
    for number, found in enumerate(cells(table)):
        if number != place:
            assert found == [str(number), f"shirt {number}", COLOURS[number % 3]]


def test_a_large_table_of_open_quotes_is_read_in_one_pass(tmp_path: Path) -> None:
    rows = "".join(f'{number},"shirt,Red\n' for number in range(20_000))
    assert len(read(tmp_path, "id,title,colour\n" + rows).rows) == 20_000


# First lines and last commas


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nid;a, b\n1;x\n2;y\n",
        "SEP=;\r\nid;a, b\r\n1;x\r\n2;y\r\n",
        '"sep=;"\nid;a, b\n1;x\n2;y\n',
        "\n\nid,a\n1,x\n2,y\n",
        " , \n;;\nid,a\n1,x\n2,y\n",
        'id;"a, b, c";z\n1;x;\n2;y;\n',
        "id,a\n1,x,,\n2,y,,\n",
        "id,a\n1,x,\n2,y\n\n",
        "id\ta\n1\tx\n2\ty\n",
        "id|a\n1|x\n2|y\n",
        "My shop\nid,a\n1,x\n2,y\n",
        "My shop,,\n\nid,a,b\n1,x,z\n2,y,z\n",
        "sep=,\nid,a\n1,x\n2,y\n",
    ],
)
def test_tables_with_other_first_lines_or_more_commas(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert table.header[0] == "id"
    assert [row.cells[:2] for row in table.rows] == [["1", "x"], ["2", "y"]]


def test_a_table_of_names_alone(tmp_path: Path) -> None:
    for text in ("id\n1.jpg\n2.jpg\n", "id\n1.jpg,\n2.jpg,\n"):
        table = read(tmp_path, text)
        assert (table.header, cells(table), table.notes) == (["id"], [["1.jpg"], ["2.jpg"]], [])


def test_what_was_skipped_or_filled_is_noted(tmp_path: Path) -> None:
    table = read(tmp_path, "My shop\nid,a,b\n1,x\n2,y,z,more\n3,u,v\n,,\n")
    assert cells(table) == [["1", "x", ""], ["3", "u", "v"], ["", "", ""]]
    assert table.notes == [
        "line 1 ('My shop') is no header: skipped",
        "1 malformed row skipped: line 4 has 4 cells instead of 3",
        "1 row has fewer cells than the header, and is empty there: line 3",
    ]


def test_rows_that_are_all_malformed_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match="all 3 rows are malformed: line 2 has 5 cells instead of"):
        read(tmp_path, "id,a,b\n1,x,y,z,w\n2,x,y,z,w\n3,x,y,z,w\n")


def test_rows_may_spill_where_a_file_quotes_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, 'id,title\n1,a\n2,a, b, c\n3,"a, b"\n', spills=True)
    assert cells(table) == [["1", "a"], ["2", "a", " b", " c"], ["3", "a, b"]]


@pytest.mark.parametrize("text", ["", "\n\n", " , \n", "sep=;\n"])
def test_an_empty_table_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(TMCIRError, match="empty; the first line must name the columns"):
        read(tmp_path, text)
