"""Pages of pictures and figures: one HTML file each that needs nothing else."""

from __future__ import annotations

from typing import Any


def render(room: str, template: str, **values: Any) -> str:
    """Return a page.

    Args:
        room: Package whose folder ``templates`` has the page's template. Shared templates, such as
            ``base.html``, are in that of ``tmcir.core``.
        template: Name of the template.
        values: What it shows; every text is escaped.
    """
    # a tenth of a second to import, and most commands write no page
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader("tmcir.core")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
