"""The composition methods by name, each imported when it is first used.

A name is one of this package, an entry point of the group ``tmcir.composers`` of an installed
package, or ``module:Class``. A model directory can name a class, too, but never makes this package
import one that nobody here vouched for: see ``trust_composer``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tmcir.core.errors import TMCIRError, first_line, unknown_choice
from tmcir.models.composer import Composer

if TYPE_CHECKING:
    from tmcir.models.encoders.base import Encoder

DEFAULT = "tmcir"
GROUP = "tmcir.composers"
TRUSTED_VARIABLE = "TMCIR_COMPOSERS"
"""Environment variable: names ``module:Class``, separated by commas, that models may use."""

_OWN = {
    DEFAULT: "tmcir.models.fusion:AdaptiveTokenFusion",
    "gate": "tmcir.models.fusion.gate:GatedSum",
    "weighted-sum": "tmcir.models.baselines.weighted_sum:WeightedSum",
    "tirg": "tmcir.models.baselines.tirg:TIRG",
    "combiner": "tmcir.models.baselines.combiner:Combiner",
    "pic2word": "tmcir.models.baselines.pic2word:Pic2Word",
}
_trusted: set[str] = set()


def method_names() -> list[str]:
    """Return the names of this package's methods, the default first, then of entry points."""
    return [*_OWN, *sorted(_entry_points())]


def trust_composer(name: str) -> type[Composer]:
    """Import a composer by ``module:Class`` and let models that were saved with it load.

    Training does this for the method that a recipe names. Where a model is only loaded, call this
    first, or list the name in the environment variable ``TMCIR_COMPOSERS``, or declare an entry
    point of the group ``tmcir.composers`` in the package that has the class. The module may lie in
    the current folder.

    Returns:
        The class.

    Raises:
        TMCIRError: There is no such module or class, or it is no ``Composer``.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:  # last, so that nothing installed is shadowed
        sys.path.append(folder)
    found = _import(name)
    _trusted.add(name)
    return found


def composer_class(method: str) -> type[Composer]:
    """Return the class of a method.

    Raises:
        TMCIRError: There is no such method, or it is a ``module:Class`` that was not trusted.
    """
    places = {**_entry_points(), **_OWN}
    if method in places:
        return _import(places[method])
    if ":" not in method:
        raise unknown_choice("method", method, places)
    listed = [name.strip() for name in os.environ.get(TRUSTED_VARIABLE, "").split(",")]
    if method not in (*_trusted, *listed, *places.values()):
        raise TMCIRError(
            f"method {method}: is code from outside tmcir, which loading a model never imports by"
            f" itself: if you trust it, set {TRUSTED_VARIABLE}={method}, or call"
            f' tmcir.models.methods.trust_composer("{method}") first'
        )
    return trust_composer(method)


def build_composer(
    method: str, encoder: Encoder, settings: Mapping[str, Any]
) -> tuple[Composer, dict[str, Any]]:
    """Build a method for these towers.

    Returns:
        The composer, and the values of all its settings.

    Raises:
        TMCIRError: There is no such method, or a setting is unknown or out of range.
    """
    found = composer_class(method)
    try:
        checked = found.Settings.model_validate(dict(settings))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise TMCIRError(f"method {method}: {problems}") from None
    return found.for_encoder(encoder, checked), checked.model_dump(mode="json")


@cache
def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _import(name: str) -> type[Composer]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise TMCIRError(f"method {name}: cannot be imported: {first_line(error)}") from None
    if not (isinstance(found, type) and issubclass(found, Composer)):
        raise TMCIRError(f"method {name}: is not a subclass of tmcir.models.composer.Composer")
    return found
