"""What differs between two photos of one garment and must not change a search."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tmcir.rendered.palette import RGB

# Studio backgrounds, all light: products stand out, and no garment is lost on them.
_BACKGROUNDS = (
    "#f4f4f4",
    "#ededee",
    "#e6e4e1",
    "#eee9e2",
    "#e3e8ec",
    "#ece4e6",
    "#e4e9e1",
    "#dcdcdf",
)


@dataclass(frozen=True, slots=True)
class Nuisance:
    """The circumstances of one photo.

    Attributes:
        background: Tone of the wall.
        light: Where the light comes from: -1 is left, 1 is right.
        shade: Which shade of the named colour the cloth has: 0 is darkest, 1 lightest.
        second_shade: The same for the colour of the pattern.
        pattern_scale: Size of the pattern relative to the usual one.
        sway: How far the garment hangs to one side, in [-1, 1].
        arms: How far each sleeve is from where it usually hangs, in degrees, left and right.
        scale: Size relative to the usual one.
        rotation: Degrees, clockwise.
        offset: Right and down, as shares of the side.
        folds: Seed of the folds of the cloth.
    """

    background: RGB
    light: float
    shade: float
    second_shade: float
    pattern_scale: float
    sway: float
    arms: tuple[float, float]
    scale: float
    rotation: float
    offset: tuple[float, float]
    folds: int

    @classmethod
    def sample(cls, generator: random.Random) -> Nuisance:
        """Sample the circumstances of a photo."""
        return cls(
            background=RGB.parse(generator.choice(_BACKGROUNDS)),
            light=generator.uniform(-1.0, 1.0),
            shade=generator.random(),
            second_shade=generator.random(),
            pattern_scale=generator.uniform(0.85, 1.2),
            sway=generator.uniform(-1.0, 1.0),
            arms=(generator.uniform(-4.0, 4.0), generator.uniform(-4.0, 4.0)),
            scale=generator.uniform(0.9, 1.04),
            rotation=generator.uniform(-4.0, 4.0),
            offset=(generator.uniform(-0.025, 0.025), generator.uniform(-0.02, 0.02)),
            folds=generator.getrandbits(32),
        )
