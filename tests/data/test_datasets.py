from __future__ import annotations

from pathlib import Path

import pytest

from tests.layouts import write_circo, write_cirr, write_fashion_iq
from tmcir.core.errors import TMCIRError
from tmcir.data.datasets import DATASETS, open_dataset


def test_a_dataset_opens_by_its_name(tmp_path: Path) -> None:
    write_circo(write_cirr(write_fashion_iq(tmp_path)))
    write_cirr(tmp_path, split="test1")
    assert open_dataset("fashion-iq", tmp_path, categories="dress").split == "val"
    assert len(open_dataset("fashion-iq/dress", str(tmp_path), "val").triplets) == 2
    assert open_dataset("cirr", tmp_path, "test1").split == "test1"
    assert open_dataset("circo", tmp_path).name == "circo"


def test_every_name_leads_to_a_class_with_that_name(tmp_path: Path) -> None:
    # Most reject the empty folder in their own words, so their module and class exist.
    for name in set(DATASETS) - {"rendered", "mixed"}:
        with pytest.raises(TMCIRError, match="no such f"):
            open_dataset(name, tmp_path)
    assert open_dataset("rendered", tmp_path / "new", items=8).name == "rendered"
    with pytest.raises(TMCIRError, match="mixed: the option parts must be a list"):
        open_dataset("mixed", tmp_path)


def test_what_is_unknown_is_named(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match="unknown dataset 'fashioniq': did you mean 'fashion-iq'"):
        open_dataset("fashioniq", tmp_path)
    with pytest.raises(TMCIRError, match=r"unknown fashion-iq option 'category'.*'categories'"):
        open_dataset("fashion-iq", tmp_path, category="dress")
    with pytest.raises(TMCIRError, match="cirr takes no option 'categories'"):
        open_dataset("cirr/dress", tmp_path)
    with pytest.raises(TMCIRError, match="categories are given twice"):
        open_dataset("fashion-iq/dress", tmp_path, categories="shirt")
    with pytest.raises(TMCIRError, match="gone: no such folder, given as the root of cirr"):
        open_dataset("cirr", tmp_path / "gone")
