"""`tmcir.tune`: from Python, as `tmcir tune` from a command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tmcir.core.cache_folder import cache_folder
from tmcir.core.files import expand_user
from tmcir.core.progress import Progress
from tmcir.tuning.job import Console
from tmcir.tuning.job import tune as run
from tmcir.tuning.result import Tuned
from tmcir.tuning.settings import TuneSettings


def tune(
    photos: str | Path,
    metadata: str | Path,
    *,
    output: str | Path,
    model: str | Path = "mini",
    key: str | None = None,
    columns: Sequence[str] | None = None,
    group: str | None = None,
    bins: Mapping[str, int] | None = None,
    phrases: str | Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    full: bool = False,
    cache: str | Path | None = None,
    console: Console | None = None,
) -> Tuned:
    """Tune a model on a catalogue: a folder of photos and a CSV.

    Args:
        photos: Folder of the photos, searched recursively.
        metadata: CSV with a row per photo, joined as `tmcir index` joins it.
        output: Folder that gets the model, ``tune.html`` and the run, which resumes from there.
        model: Model directory, name or id to start from.
        key: Column that names the photos; None finds it.
        columns: Columns that texts change; None takes those that photos show.
        group: Column that is the same for all photos of a product.
        bins: Number of steps by column of numbers, such as ``{"price": 4}``.
        phrases: YAML file with forms of texts, see `tmcir.data.catalogue.phrases.read_phrases`.
        seed: Fixes everything that is random.
        epochs: Passes over the photos; None chooses.
        full: Train the towers, too.
        cache: Folder of encoded photos; None: ``TMCIR_CACHE``, or the user's cache folder.
        console: Gets lines and progress; None prints nothing.

    Returns:
        Figures on held-out products, and the model: where the tuned one is not better beyond
        noise, ``output`` holds the start model.

    Raises:
        TMCIRError: Photos, table, model or a setting cannot be used.
    """
    settings = TuneSettings(
        photos=expand_user(photos),
        metadata=expand_user(metadata),
        output=expand_user(output),
        model=str(model),
        key=key,
        columns=None if columns is None else tuple(columns),
        group=group,
        bins=dict(bins or {}),
        phrases=None if phrases is None else expand_user(phrases),
        seed=seed,
        epochs=epochs,
        full=full,
        cache=cache_folder() if cache is None else expand_user(cache),
    )
    return run(settings, console or _Quiet())


class _Quiet:
    """Prints nothing."""

    def print(self, line: str) -> None:
        """Drop a line."""

    @contextmanager
    def progress(self, description: str) -> Iterator[Progress]:
        """Show nothing."""
        yield lambda done, total: None
