"""The colours of one picture, and the short words for drawing with them."""

from __future__ import annotations

from dataclasses import dataclass

from tmcir.rendered.drawing.geometry import Line, Pen, Point, beside
from tmcir.rendered.palette import BLACK, INK, RGB, WHITE

_PALE = RGB.parse("#f6f1e4")
_DARK = RGB.parse("#2a2320")
_TAN = RGB.parse("#a8733f")
_LEATHER = RGB.parse("#4a2d1c")
_THREADS = tuple(map(RGB.parse, ("#f0b93a", "#8c1f3f", "#f7efe2", "#2c7fb8")))
_LEAF = RGB.parse("#5f9a63")
_LACE = RGB.parse("#fffdf8")


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours that a garment's details have, all of which follow from its cloth.

    Attributes:
        ground: The cloth.
        second: What is printed on it or woven into it; the cloth itself where it is solid.
    """

    ground: RGB
    second: RGB

    @property
    def dark(self) -> bool:
        """Whether the cloth is so dark that details must be lighter to show."""
        return self.ground.brightness < 0.45

    @property
    def outline(self) -> RGB:
        """The line around a part."""
        return self.ground.mix(INK, 0.5)

    @property
    def seam(self) -> RGB:
        """A line on the cloth."""
        return self.ground.mix(WHITE, 0.34) if self.dark else self.ground.mix(INK, 0.42)

    @property
    def inside(self) -> RGB:
        """The inside of the garment, in its own shadow."""
        return self.ground.mix(BLACK, 0.42).mix(INK, 0.15)

    @property
    def contrast(self) -> RGB:
        """A colour that stands out from the cloth: piping, buttons."""
        return _PALE if self.dark else _DARK

    @property
    def leather(self) -> RGB:
        """A belt's leather."""
        return _TAN if self.dark else _LEATHER

    @property
    def lace(self) -> RGB:
        """Lace is white on every cloth; its holes and its edge are drawn in grey."""
        return _LACE

    @property
    def thread(self) -> RGB:
        """What is embroidered: of a few colours the one that shows best on cloth and pattern."""

        def contrast(colour: RGB) -> float:
            return min(colour.distance(self.ground), colour.distance(self.second))

        return max(_THREADS, key=contrast)

    @property
    def green(self) -> RGB:
        """Embroidered leaves; of the other thread where green would not show."""
        return _LEAF if self.ground.distance(_LEAF) > 0.25 else self.thread


def filled(path: str, fill: RGB | str, opacity: float = 1.0) -> str:
    """Return a filled path."""
    share = "" if opacity == 1.0 else f' fill-opacity="{opacity:.2f}"'
    return f'<path d="{path}" fill="{fill}"{share}/>'


def outlined(path: str, fill: RGB | str, line: RGB, width: float = 0.35) -> str:
    """Return a filled path with a line around it."""
    return (
        f'<path d="{path}" fill="{fill}" stroke="{line}" stroke-width="{width}"'
        ' stroke-linejoin="round"/>'
    )


def stroked(
    path: str, line: RGB | str, width: float, opacity: float = 1.0, dashes: str = ""
) -> str:
    """Return a line along a path."""
    share = "" if opacity == 1.0 else f' stroke-opacity="{opacity:.2f}"'
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{path}" fill="none" stroke="{line}" stroke-width="{width:.2f}"'
        f' stroke-linecap="{"butt" if dashes else "round"}" stroke-linejoin="round"{share}{dash}/>'
    )


def clipped(path: str, identifier: str, content: str) -> str:
    """Return content of which only what is inside a path shows."""
    return (
        f'<clipPath id="{identifier}"><path d="{path}"/></clipPath>'
        f'<g clip-path="url(#{identifier})">{content}</g>'
    )


def band_along(pen: Pen, edge: Line, inner: float, outer: float) -> str:
    """Return the path data of a band along an edge, between two distances to its outside."""
    return pen.shape([beside(edge, outer), beside(edge, inner)[::-1]])


def rectangle(centre: Point, width: float, height: float, slanted: float = 0.0) -> list[Line]:
    """Return the outline of a rectangle whose top is shifted to one side by ``slanted``."""
    half = complex(width / 2, height / 2)
    corners = [-half + slanted, half.conjugate() + slanted, half, -half.conjugate()]
    moved = [centre + corner for corner in corners]
    return [[a, b] for a, b in zip(moved, [*moved[1:], moved[0]], strict=True)]
