"""Drawing garments: attributes are cut to parts, parts are sewn and shaded, and a wall put behind.

measures      how wide and long each kind is cut
tops, bottoms, tailor   the parts of each kind, as outlines (cut, geometry)
patterns, shading       what is on the cloth, and how light falls on it
collars, fastenings, trims   what is sewn on (paint: their colours)
picture       all of it as SVG and as pixels (studio: the wall and the shadow on it)
"""

from tmcir.rendered.drawing.picture import draw, render

__all__ = ["draw", "render"]
