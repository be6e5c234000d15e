"""What a person may want to do next with a gallery."""

from __future__ import annotations

from tmcir.gallery.gallery import Gallery

TUNABLE = "mini"


def tune_hint(gallery: Gallery) -> str:
    """Return a line on tuning, for a gallery of the shipped model whose photos have a table.

    Empty for any other.
    """
    if gallery.model_name != TUNABLE or not gallery.columns():
        return ""
    return (
        "searches miss what your table knows? `tmcir tune PHOTOS --metadata CSV --output MODEL`"
        " makes a model of this catalogue"
    )
