from __future__ import annotations

from pathlib import Path

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.gallery.metadata import Metadata, read_metadata

IDS = ["10.jpg", "11.jpg", "shoes/12.jpg", "hats/12.jpg"]


def read(tmp_path: Path, text: str | bytes, ids: list[str] = IDS, **options: object) -> Metadata:
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_metadata(path, ids, **options)  # type: ignore[arg-type]


# Joining


def test_stem_name_and_relative_path(tmp_path: Path) -> None:
    table = read(tmp_path, "id,note\n10,stem\n11.jpg,name\nshoes/12.jpg,path\n12,both\n")
    assert {name: row["note"] for name, row in table.values.items()} == {
        "10.jpg": "stem",
        "11.jpg": "name",
        "shoes/12.jpg": "path",  # closer than its stem
        "hats/12.jpg": "both",
    }
    assert table.notes == ["4 of 4 photos described by 4 of 4 rows, joined on column 'id'"]


def test_a_row_describes_all_photos_of_its_name(tmp_path: Path) -> None:
    table = read(tmp_path, "id,note\n12,a pair\n")
    assert sorted(table.values) == ["hats/12.jpg", "shoes/12.jpg"]


def test_of_several_columns_the_one_that_fits_most_is_the_key(tmp_path: Path) -> None:
    table = read(tmp_path, "ID,Filename,note\n10,10.jpg,a\n999,11.jpg,b\n998,.\\hats\\12.jpg,c\n")
    assert "joined on column 'Filename'" in table.notes[0]
    # the other candidate is metadata; `id` is the gallery's own name
    assert table.values["10.jpg"] == {"ID_2": 10, "note": "a"}
    assert table.values["hats/12.jpg"]["note"] == "c"


def test_a_key_column_by_name(tmp_path: Path) -> None:
    text = "sku,id\n10,11\n"
    assert list(read(tmp_path, text, key="sku").values) == ["10.jpg"]
    assert list(read(tmp_path, text, key="SKU").values) == ["10.jpg"]
    with pytest.raises(TMCIRError, match=r"did you mean 'sku'\?.*valid: id, sku"):
        read(tmp_path, text, key="skuu")
    with pytest.raises(TMCIRError, match=r"none of its columns .* --metadata-key .* sku, name"):
        read(tmp_path, "sku,name\n10,11\n")


def test_a_csv_of_other_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match="no value of column 'id' is the name of a photo"):
        read(tmp_path, "id,note\n77,a\n")


# Kinds of values


def test_kinds(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "id,whole,real,word,code,long,huge,none\n"
        "10,-3,1.5,Red,007,123456789012345678901,1e400,\n"
        "11,,2e3, Blue ,8,1,1,\n",
    )
    assert table.columns == {
        "whole": "integer",
        "real": "number",
        "word": "text",
        "code": "text",  # leading zeros would be lost
        "long": "text",  # more digits than an integer holds
        "huge": "text",  # infinite as a number
        "none": "text",
    }
    assert table.values["10.jpg"] | {"huge": ""} == {
        "whole": -3,
        "real": 1.5,
        "word": "Red",
        "code": "007",
        "long": "123456789012345678901",
        "huge": "",
        "none": None,
    }
    assert table.values["11.jpg"]["whole"] is None
    assert table.values["11.jpg"]["real"] == 2000.0
    assert table.values["11.jpg"]["word"] == "Blue"


def test_known_columns_keep_their_kind(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "id,Year,price\n10,old,3\n11,2012,4\n",
        known={"year": "integer", "price": "text"},
    )
    assert table.columns == {"year": "integer", "price": "text"}
    assert table.values["10.jpg"] == {"year": None, "price": "3"}
    assert "1 value is no integer, as column 'year' is stored: left empty: line 2 ('old')" in (
        table.notes
    )


def test_column_names_for_sql(tmp_path: Path) -> None:
    table = read(tmp_path, "id,base colour,Base-Colour,2nd,path,größe,,***\n10,a,b,c,d,e,f,g\n")
    assert list(table.columns) == [
        "base_colour",
        "Base_Colour_2",  # SQL does not tell cases apart
        "_2nd",
        "path_2",
        "größe",
        "column_7",
        "column_8",
    ]
    assert "column '2nd' is called '_2nd' in the gallery" in table.notes


# Files as they are


def test_malformed_rows_repeated_and_unknown_keys_are_told(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        'id,name,note\n10,"Maker, Red",fine\n11,Maker, Red,comma\n10,again,x\n\n77,who,x\n88\n',
    )
    assert table.values == {"10.jpg": {"name": "Maker, Red", "note": "fine"}}
    assert table.notes[0].startswith("1 of 4 photos described by 1 of 3 rows")
    assert table.notes[1:] == [
        "2 malformed rows left out: line 3 has 4 cells instead of 3, "
        "line 7 has 1 cells instead of 3",
        "1 row repeats a key, and the first row counts: line 4 ('10')",
        "1 row names no photo here: '77'",
    ]


def test_long_lists_of_faults_are_cut(tmp_path: Path) -> None:
    rows = "".join(f"{number},x\n" for number in range(10, 1000))
    note = read(tmp_path, "id,note\n" + rows).notes[-1]
    assert note == "987 rows name no photo here: '13', '14', '15', ..."
    wide = read(tmp_path, "id,note\n10,x\n" + "9" * 5000 + ",x\n").notes[-1]
    assert len(wide) < 120


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_spreadsheets_of_all_countries(
    tmp_path: Path, delimiter: str, encoding: str, ending: str
) -> None:
    text = ending.join([f"id{delimiter}größe", f"10{delimiter}ä"])
    assert read(tmp_path, text.encode(encoding)).values == {"10.jpg": {"größe": "ä"}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        ("id,größe\n10,ä\n".encode("latin-1"), "not UTF-8"),
        (b"\xff\xfei\x00d\x00", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
    ],
)
def test_no_csv_at_all(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(TMCIRError, match=problem):
        read(tmp_path, content)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"none\.csv: no such file"):
        read_metadata(tmp_path / "none.csv", IDS)


def test_hostile_cells_cost_one_row_each(tmp_path: Path) -> None:
    big = "x" * 200_000  # more than the csv module takes in one cell
    table = read(tmp_path, f"id,note\n10,a\n11,{big}\nshoes/12.jpg,b\nhats/12.jpg,c\0d\n")
    assert table.values["10.jpg"] == {"note": "a"}
    assert table.values["shoes/12.jpg"] == {"note": "b"}
    assert "11.jpg" not in table.values
    assert "malformed row" in table.notes[1]
