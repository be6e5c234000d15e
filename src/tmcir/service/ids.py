"""Ids of photos in addresses: paths of any characters, percent-encoded."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Path
from fastapi.routing import APIRoute

from tmcir.gallery.conditions import MAXIMUM_ID

_NOTE = "The photo's path relative to the folder that was indexed."
PhotoId = Annotated[str, Path(max_length=MAXIMUM_ID, description=_NOTE)]


class AnyPathRoute(APIRoute):
    """A route whose ``{id:path}`` may have line ends: file names may have any character."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)
