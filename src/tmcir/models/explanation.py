"""An explanation as a person sees it: overlays on the picture, lines of text, a page.

Everything here needs only an ``Explanation`` and its picture, so that the command line, a page of
results and a service agree.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tmcir.core.images import image_name, read_image, thumbnail
from tmcir.core.pages import render
from tmcir.models.explained import Explanation
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.queries import ImageSource

SIDE = 300
"""Approximate side of an overlay, in pixels: a whole number per patch."""

MINIMUM_EFFECT = 0.01
"""``Explanation.token_effect`` from which merged patches are shown."""

# Colours that people with any colour vision tell apart (Okabe and Ito), readable on both themes.
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f6bb8")
_FADED = 0.72  # how far other patches fade to white
_TINT = 0.42  # maximum tint of a patch
_THUMBNAIL = 200
_PLACES = (("upper", "middle", "lower"), ("left", "centre", "right"))


@dataclass(frozen=True, slots=True)
class Overlay:
    """A reference picture that shows what one word took over.

    Attributes:
        word: The word.
        picture: The square that the model sees: the word's patches in colour, the rest faded.
        colour: The word's colour, as ``#rrggbb``.
        patches: Patches that the word took over.
        image_share: Share of the image in the merged token, in [0, 1].
        description: The same in words, as alternative text.
    """

    word: str
    picture: Image.Image
    colour: str
    patches: int
    image_share: float
    description: str

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return _data_uri(self.picture)


def explanation_overlays(
    explanation: Explanation, image: ImageSource, side: int = SIDE
) -> list[Overlay]:
    """Return an overlay for every word that took over patches, in the order of the words.

    Args:
        explanation: What the model said of this image and a text.
        image: The reference image that was explained, a file or a PIL image.
        side: Approximate side of each overlay, in pixels.

    Returns:
        Overlays; none where the method merges nothing.

    Raises:
        ImageError: The image is missing, broken or too large.
    """
    merged = _merged(explanation)
    if not any(merged):
        return []
    square = _square(explanation, image, side)
    shares = explanation.image_share or [0.0] * len(explanation.words)
    overlays = []
    for place, (word, patches, share) in enumerate(
        zip(explanation.words, merged, shares, strict=True)
    ):
        if patches:
            strengths = _strengths(explanation, [place])
            picture = _overlay(square, strengths, [word_colour(place)], [place])
            where = f"{word}: {_describe(explanation, patches, share)}"
            overlays.append(Overlay(word, picture, word_colour(place), len(patches), share, where))
    return overlays


def merged_overlay(
    explanation: Explanation, image: ImageSource, side: int = SIDE
) -> Image.Image | None:
    """Return the picture with the patches of all words, each in its word's colour.

    Raises:
        ImageError: The image is missing, broken or too large.
    """
    places = [place for place, patches in enumerate(_merged(explanation)) if patches]
    if not places:
        return None
    square = _square(explanation, image, side)
    colours = [word_colour(place) for place in places]
    return _overlay(square, _strengths(explanation, places), colours, places)


def word_colour(place: int) -> str:
    """Return the colour of the word at a place of the text, as ``#rrggbb``."""
    return _COLOURS[place % len(_COLOURS)]


def explanation_lines(explanation: Explanation) -> list[str]:
    """Return an explanation as lines of plain text."""
    lines = []
    if explanation.gate is not None:
        image, text = explanation.gate
        lines.append(f"gate: image {image:.2f}, text {text:.2f} (they sum to 2)")
    if explanation.similarity is not None:
        image, text = explanation.similarity
        lines.append(f"cosine of the query with the image {image:.2f}, with the text {text:.2f}")
    if _is_idle(explanation):
        return [*lines, "single words and patches do not change this query"]
    if explanation.matched_share is not None and explanation.threshold is not None:
        rows, columns = explanation.grid
        lines.append(
            f"words took over {explanation.matched_share:.0%} of the {rows} x {columns} patches"
            f" (those with a cosine of at least {explanation.threshold:.3f})"
        )
    if explanation.merged is None:
        return lines or ["this method gives no explanation"]
    width = max(len(word) for word in explanation.words)
    shares = explanation.image_share or [0.0] * len(explanation.words)
    for word, patches, share in zip(explanation.words, explanation.merged, shares, strict=True):
        lines.append(f"  {word.ljust(width)}  {_describe(explanation, patches, share)}")
    return lines


def render_explanation(
    explanation: Explanation,
    image: ImageSource,
    text: str,
    rows: Sequence[tuple[str, Sequence[tuple[str, Path]]]] = (),
) -> str:
    """Return an HTML page, one file that needs nothing else.

    Args:
        explanation: What the model said of this image and this text.
        image: The reference image.
        text: The modification text.
        rows: Results to show below, a title and the name and file of each result; such as what
            the answer would be with image or text alone.

    Raises:
        ImageError: The image is missing, broken or too large.
    """
    results = [
        (title, [(name, thumbnail(path, _THUMBNAIL)) for name, path in found])
        for title, found in rows
    ]
    return render(
        "tmcir.models",
        "explain.html",
        name=Path(image_name(image)).name,
        text=text,
        explanation=explanation_view(explanation, image),
        rows=results,
    )


@dataclass(frozen=True, slots=True)
class ExplanationView:
    """What the shared template ``explanation.html`` shows.

    Attributes:
        content: The explanation.
        reference: The reference picture as a data URI.
        merged: The picture with the patches of all words as a data URI; "" where none merged.
        overlays: A picture a word.
        colours: The colour of each word that took over patches, "" for the others.
    """

    content: Explanation
    reference: str
    merged: str
    overlays: list[Overlay]
    colours: list[str]


def explanation_view(explanation: Explanation, image: ImageSource) -> ExplanationView:
    """Prepare what the template ``explanation.html`` shows, for any page that includes it.

    Raises:
        ImageError: The image is missing, broken or too large.
    """
    merged = merged_overlay(explanation, image)
    taken = _merged(explanation)
    return ExplanationView(
        content=explanation,
        reference=_data_uri(Image.fromarray(_square(explanation, image, SIDE))),
        merged="" if merged is None else _data_uri(merged),
        overlays=explanation_overlays(explanation, image),
        colours=[word_colour(place) if patches else "" for place, patches in enumerate(taken)],
    )


def _is_idle(explanation: Explanation) -> bool:
    """Return whether the tokens hardly change the query, so that merged patches mean nothing."""
    effect = explanation.token_effect
    return effect is not None and effect < MINIMUM_EFFECT


def _merged(explanation: Explanation) -> list[list[tuple[int, int, float]]]:
    """Return the patches that each word took over, as far as they change the query."""
    if explanation.merged is None or _is_idle(explanation):
        return [[] for _ in explanation.words]
    return explanation.merged


def _square(explanation: Explanation, image: ImageSource, side: int) -> NDArray[np.uint8]:
    """Return the part of the picture that the model sees, uint8 [S, S, 3]."""
    size = explanation.grid[0] * max(1, side // max(explanation.grid))
    picture = read_image(image, minimum_side=size)
    whole = ImagePreprocessor(size, explanation.fit)
    if explanation.region is None:
        return whole.resize(picture)
    # A tower may cut a part of the square away: the region says how much is left.
    seen, all_of_it = (
        area[2] - area[0] for area in (explanation.region, whole.region(*picture.size))
    )
    return replace(whole, resize_size=round(size * all_of_it / seen)).resize(picture)


def _strengths(explanation: Explanation, places: Sequence[int]) -> NDArray[np.float32]:
    """Return how strongly each word took over each patch, float32 [words, rows, columns].

    1 is the word's heaviest patch; none that was taken over is weaker than a third of that.
    """
    assert explanation.merged is not None
    strengths = np.zeros((len(places), *explanation.grid), dtype=np.float32)
    for layer, place in enumerate(places):
        heaviest = max(weight for _, _, weight in explanation.merged[place])
        for row, column, weight in explanation.merged[place]:
            strengths[layer, row, column] = 1 / 3 + 2 / 3 * weight / heaviest
    return strengths


def _overlay(
    square: NDArray[np.uint8],
    strengths: NDArray[np.float32],
    colours: Sequence[str],
    places: Sequence[int],
) -> Image.Image:
    """Fade the patches that no word took over, tint the others, and draw the words' outlines."""
    patch = len(square) // strengths.shape[1]
    tall = strengths.repeat(patch, axis=1).repeat(patch, axis=2)[..., None]  # [words, S, S, 1]
    grey = square.mean(axis=2, keepdims=True)
    picture = np.where(tall.max(axis=0) > 0, square, grey + _FADED * (255 - grey))
    for layer, colour in zip(tall, colours, strict=True):
        tint = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        picture = picture + _TINT * layer * (tint - picture)
    drawn = Image.fromarray(np.rint(picture).astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for layer, colour in zip(strengths > 0, colours, strict=True):
        for line in _outline(layer, patch):
            pen.line(line, fill=colour, width=max(2, patch // 18))
    return drawn


def _outline(taken: NDArray[np.bool_], patch: int) -> list[tuple[int, int, int, int]]:
    """Return the edges between patches that were taken over and those that were not."""
    lines = []
    for row, column in zip(*np.nonzero(taken), strict=True):
        top, left = int(row) * patch, int(column) * patch
        bottom, right = top + patch - 1, left + patch - 1
        edges = (
            ((row - 1, column), (left, top, right, top)),
            ((row + 1, column), (left, bottom, right, bottom)),
            ((row, column - 1), (left, top, left, bottom)),
            ((row, column + 1), (right, top, right, bottom)),
        )
        lines += [line for other, line in edges if not _holds(taken, *other)]
    return lines


def _holds(taken: NDArray[np.bool_], row: int, column: int) -> bool:
    inside = 0 <= row < taken.shape[0] and 0 <= column < taken.shape[1]
    return inside and bool(taken[row, column])


def _describe(
    explanation: Explanation, patches: Sequence[tuple[int, int, float]], share: float
) -> str:
    if not patches:
        return "stays as it is"
    count = explanation.grid[0] * explanation.grid[1]
    return (
        f"took over {len(patches)} of {count} patches, mostly {_place(explanation, patches)};"
        f" {share:.0%} of the merged word is image"
    )


def _place(explanation: Explanation, patches: Sequence[tuple[int, int, float]]) -> str:
    """Return where the centre of the patches lies, by their weights, in words."""
    total = sum(weight for _, _, weight in patches)
    names = []
    for axis, (count, thirds) in enumerate(zip(explanation.grid, _PLACES, strict=True)):
        centre = sum((patch[axis] + 0.5) * patch[2] for patch in patches) / (total * count)
        names.append(thirds[min(2, int(3 * centre))])
    return "in the centre" if names == ["middle", "centre"] else f"{names[0]} {names[1]}"


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
