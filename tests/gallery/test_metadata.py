from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.gallery.metadata import Metadata, read_metadata
from tmcir.gallery.stores.base import ColumnKind

IDS = ["10.jpg", "11.jpg", "shoes/12.jpg", "hats/12.jpg"]


def read(tmp_path: Path, text: str | bytes, ids: list[str] = IDS, **options: object) -> Metadata:
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_metadata(path, ids, **options)


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
    problem = "no value of column 'id', such as '77', is the name of a photo, such as '10.jpg'"
    advice = "name the right column with --metadata-key"
    with pytest.raises(TMCIRError, match=re.escape(f"{problem}; {advice}")):
        read(tmp_path, "id,note\n77,a\n")
    with pytest.raises(TMCIRError, match=re.escape(problem) + "$"):  # it was named already
        read(tmp_path, "id,note\n77,a\n", key="id")


# One name in several spellings

PHOTOS = [f"shop/{number:07}.jpg" for number in range(9_998, 10_003)]


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        ("{number:07}", ""),
        ("{number:07}.jpg", ""),
        ("{number}", "with other zeros"),
        ("{number}.0", "with other zeros"),
        ("{number:09}.jpg", "with other zeros"),
        ('"=""{number:07}"""', "with other blanks or accents"),
        ("\u202f{number:07}.jpg\u00a0", ""),
        ("\ufeff{number:07}", "with other blanks or accents"),
        ("{number:07}.JPG", "in another case"),
        ("SHOP/{number:07}.Jpg", "in another case"),
        ("images/{number:07}.jpg", "in another folder"),
        ("C:\\photos\\{number:07}.jpg", "in another folder"),
        ("https://shop.example/p/{number:07}.jpg?size=2", "in another folder"),
        ("HTTPS://shop.example/p/{number:07}.JPG", "in another folder"),
        ("{number:07}.png", "with another ending"),
        ("images/{number:07}.webp", "with another ending"),
        ("https://shop.example/{number}.jpeg", "with other zeros"),
    ],
)
def test_ids_in_any_spelling_describe_all_photos(tmp_path: Path, spelling: str, words: str) -> None:
    rows = "".join(
        f"{spelling.format(number=number)},x{number}\n" for number in range(9_998, 10_003)
    )
    table = read(tmp_path, "id,note\n" + rows, PHOTOS)
    assert [row["note"] for row in table.values.values()] == [
        f"x{number}" for number in range(9_998, 10_003)
    ]
    assert len(table.notes) == (2 if words else 1)
    if words:
        assert f"5 rows name their photos {words}: " in table.notes[1]


def test_accents_composed_or_not(tmp_path: Path) -> None:
    photos = [unicodedata.normalize("NFD", name) for name in ("größe 1.jpg", "ärmel.jpg")]
    table = read(tmp_path, "id,note\ngröße\u00a01,a\nÄrmel.JPG,b\n", photos)
    assert [table.values[name]["note"] for name in photos] == ["a", "b"]
    assert [" ".join(text.split()[:6]) for text in table.notes[1:]] == [
        "1 row names its photo with",
        "1 row names its photo in",
    ]


def test_a_spelling_that_fits_two_rows_or_two_photos_matches_none(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"such as 'x/1\.jpg', is the name of a photo"):
        read(tmp_path, "id,note\nx/1.jpg,a\n", ["a/1.jpg", "b/1.jpg"])
    table = read(tmp_path, "id,note\na/1.jpg,a\nx/1.jpg,b\n", ["a/1.jpg", "b/1.jpg"])
    assert list(table.values) == ["a/1.jpg"]  # the row may mean either
    table = read(tmp_path, "id,note\n010,a\n0010,b\n7,c\n", ["10.jpg", "7.jpg"])
    assert list(table.values) == ["7.jpg"]
    table = read(tmp_path, "id,note\nA.jpg,a\na.JPG,b\n7,c\n", ["a.jpg", "7.jpg"])
    assert list(table.values) == ["7.jpg"]
    table = read(tmp_path, "id,note\n7,c\n8.webp,d\n", ["7.jpg", "8.jpg", "8.png"])
    assert list(table.values) == ["7.jpg"]


def test_an_exact_match_always_wins(tmp_path: Path) -> None:
    table = read(
        tmp_path, "id,note\nA.JPG,loose\na.jpg,exact\n0007,loose\n7,exact\n", ["a.jpg", "7.png"]
    )
    assert [row["note"] for row in table.values.values()] == ["exact", "exact"]
    assert table.notes[1] == "2 rows name no photo here: 'A.JPG', '0007'"


def test_the_key_column_is_the_one_that_fits_most_in_any_spelling(tmp_path: Path) -> None:
    text = "id,file\n10,https://a.example/10.jpg\n901,https://a.example/11.jpg\n"
    table = read(tmp_path, text, ["10.jpg", "11.jpg"])
    assert "joined on column 'file'" in table.notes[0] and len(table.values) == 2


# Kinds of values


def kind_of(tmp_path: Path, cells: str, delimiter: str = ",") -> tuple[str | None, list[str]]:
    """The kind of a column with these cells, and the notes about it."""
    values = cells.split(delimiter)
    rows = "".join(f"{number}{delimiter}{cell}\n" for number, cell in enumerate(values))
    table = read(tmp_path, f"id{delimiter}price\n{rows}", [f"{n}.jpg" for n in range(len(values))])
    return table.columns.get("price"), table.notes[1:]


@pytest.mark.parametrize(
    ("cells", "delimiter", "kind"),
    [
        ("5,NaN,100", ",", "integer"),
        ("5.5,nan,100", ",", "number"),
        ("5,N/A,na,NULL,none,-,#N/A", ",", "integer"),
        ("-5,-,5", ",", "integer"),
        ("29,90;9,90", ";", "number"),
        ("29,90;-;10;", ";", "number"),
        ("1.299,00;29,90", ";", "number"),
        ("29,90;12.5", ";", "number"),
        ("29;90", ";", "integer"),
        ("Red,NaN,Blue", ",", "text"),
        ("29,9,0;9,90", ";", "text"),
        ("29,90\t9,90", "\t", "text"),  # thousands, for all that is known
        ("NaN,-,", ",", None),
        (",,", ",", None),
    ],
)
def test_kinds_of_numbers_as_people_write_them(
    tmp_path: Path, cells: str, delimiter: str, kind: str | None
) -> None:
    assert kind_of(tmp_path, cells, delimiter) == (kind, [])


def test_values_of_numbers_as_people_write_them(tmp_path: Path) -> None:
    table = read(tmp_path, "id;price;year\n10;1.299,50;NaN\n11;-;2012\n")
    assert table.values["10.jpg"] == {"price": 1299.5, "year": None}
    assert table.values["11.jpg"] == {"price": None, "year": 2012}


def test_a_few_words_among_numbers_are_named(tmp_path: Path) -> None:
    assert kind_of(tmp_path, "5,free,100") == (
        "text",
        ["column 'price' is text: 1 of 3 values are no numbers: line 3 ('free')"],
    )
    many = ",".join(["free", *map(str, range(4_000)), "on request", "sold", "?"])
    assert kind_of(tmp_path, many) == (
        "text",
        [
            "column 'price' is text: 4 of 4,004 values are no numbers: line 2 ('free'),"
            " line 4003 ('on request'), line 4004 ('sold'), ..."
        ],
    )
    assert kind_of(tmp_path, "S,M,L,40") == ("text", [])  # sizes, not damaged numbers


def test_an_empty_column_waits_for_its_first_value(tmp_path: Path) -> None:
    assert read(tmp_path, "id,year\n10,\n11,\n").columns == {}
    assert read(tmp_path, "id,year\n10,2012\n11,\n").columns == {"year": "integer"}
    known: dict[str, ColumnKind] = {"year": "integer"}
    table = read(tmp_path, "id,year\n10,\n11,\n", known=known)
    assert table.columns == known and table.values["10.jpg"] == {"year": None}


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
    }
    assert table.values["10.jpg"] | {"huge": ""} == {
        "whole": -3,
        "real": 1.5,
        "word": "Red",
        "code": "007",
        "long": "123456789012345678901",
        "huge": "",
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


def test_columns_that_are_words_of_sql_get_another_name(tmp_path: Path) -> None:
    table = read(tmp_path, "id,null,True,select_,select,order\n10,a,b,c,d,e\n")
    assert list(table.columns) == ["null_", "True_", "select_", "select__2", "order"]
    assert "column 'null' is called 'null_' in the gallery" in table.notes
    known: dict[str, ColumnKind] = {"null": "text"}  # of a gallery that was made before
    assert list(read(tmp_path, "id,null\n10,a\n", known=known).columns) == ["null"]


# Files as they are


def test_malformed_rows_repeated_and_unknown_keys_are_told(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        'id,name,note\n10,"Maker, Red",fine\n11,Maker, Red,comma\n10,again,x\n\n77,who,x\n88\n',
    )
    assert table.values == {"10.jpg": {"name": "Maker, Red", "note": "fine"}}
    assert table.notes[0].startswith("1 of 4 photos described by 1 of 4 rows")
    assert table.notes[1:] == [
        "1 malformed row skipped: line 3 has 4 cells instead of 3",
        "1 row has fewer cells than the header, and is empty there: line 7",
        "1 row repeats a key, and the first row counts: line 4 ('10')",
        "2 rows name no photo here: '77', '88'",
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
