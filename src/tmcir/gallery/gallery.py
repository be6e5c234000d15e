"""The gallery as people use it: open, add photos, search."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import require_writable
from tmcir.core.json_files import parse_json
from tmcir.core.progress import Progress
from tmcir.gallery.arranging import Arrangement, Sort
from tmcir.gallery.embedding import embed, reference, unknown_item
from tmcir.gallery.export import write_parquet
from tmcir.gallery.indexing import AddReport, write_photos
from tmcir.gallery.metadata import Metadata, read_metadata
from tmcir.gallery.model import (
    EmbeddingModel,
    ModelSource,
    check_same,
    load_remembered,
    record_of,
)
from tmcir.gallery.photos import FoundPhotos, find_photos
from tmcir.gallery.query import ImageSource, Query, Term
from tmcir.gallery.ranking import by_vector, from_score
from tmcir.gallery.relevance import Background, check_relevance, measure_background
from tmcir.gallery.results import GalleryInfo, Hit, Item
from tmcir.gallery.roles import Roles, guess_roles, named_roles
from tmcir.gallery.searching import (
    check_page,
    count_sorted,
    find_arranged_page,
    find_page,
    metadata_of,
    sample,
)
from tmcir.gallery.stores.approximate import recall
from tmcir.gallery.stores.base import (
    EXACT_UP_TO,
    OWN_COLUMNS,
    ColumnKind,
    ModelRecord,
    Precision,
    Store,
    Value,
)
from tmcir.gallery.stores.opening import open_store
from tmcir.gallery.summaries import ColumnSummary, summarise
from tmcir.gallery.words import Words, find_words, fused
from tmcir.runtime import Runtime

if TYPE_CHECKING:
    from tmcir.models.explained import Explanation

_REMOVED, _ROLES = "removed", "roles"
#: Photos written at once; a killed `Gallery.add` loses at most the work on one such chunk.
CHUNK_SIZE = 256


class Gallery:
    """Photos, their vectors and their metadata, searched with an image, a text or both.

    Make one with `Gallery.open`. Threads may search at the same time. Example:

        gallery = Gallery.open("shop", model="mini")
        gallery.add("photos/", metadata="garments.csv")
        hits = gallery.search(image="photos/test-000247.jpg", text="in red", where="price < 50")
    """

    def __init__(
        self,
        store: Store,
        uri: str,
        model: EmbeddingModel,
        record: ModelRecord,
        precision: Precision,
        exact_up_to: int,
    ) -> None:
        self._store = store
        self._uri = uri
        self._model = model
        self._record = record
        self._precision = precision
        self._exact_up_to = exact_up_to
        self._background: Background | None = None

    @classmethod
    def open(
        cls,
        uri: str | Path,
        model: EmbeddingModel | str | Path | None = None,
        *,
        source: str | Path = "",
        precision: Precision = "float32",
        exact_up_to: int = EXACT_UP_TO,
        runtime: Runtime = "auto",
    ) -> Gallery:
        """Open a gallery. One that does not exist yet is made by the first `add`.

        Args:
            uri: A folder, or an object store such as ``s3://bucket/shop``.
            model: The model that made the gallery's vectors, or will make them: a model, or what
                `tmcir.load` takes. None loads the model that the gallery remembers.
            source: Where a model object was loaded from, if its name does not say so. A new gallery
                remembers it and can then be opened without a model.
            precision: How a new gallery keeps vectors: ``float16`` takes half the space. An
                existing gallery stays as it is.
            exact_up_to: Photos up to which a search compares the query with every one of them,
                in memory. Above it an index is built, and searches become approximate.
            runtime: What runs a model that is loaded here, as for `tmcir.load`: by default its
                graphs where they fit its weights, and torch otherwise.

        Raises:
            TMCIRError: The gallery was made with another model, or is something else; or there is
                neither a gallery nor a model.
        """
        if exact_up_to < 0:
            raise TMCIRError(f"exact_up_to must not be negative, but is {exact_up_to}")
        store = open_store(uri, exact_up_to)
        stored = store.model()
        if model is None:
            if stored is None:
                raise _missing(str(uri))
            loaded = load_remembered(str(uri), stored, runtime)
            origin = ModelSource(stored.source, stored.shipped)
        elif isinstance(model, str | Path):
            origin = ModelSource.of(model)
            loaded = origin.load(runtime)
        else:
            loaded = model
            origin = ModelSource.of(source) if source else ModelSource.of_model(model)
        given = record_of(loaded, origin)
        if stored is not None:
            check_same(str(uri), stored, given)
        return cls(store, str(uri), loaded, given, precision, exact_up_to)

    @staticmethod
    def read_model(uri: str | Path) -> ModelRecord | None:
        """Return which model a gallery was made with, or None where there is no gallery.

        Raises:
            TMCIRError: There is something else at this address.
        """
        return open_store(uri).model()

    # What is in it

    def add(
        self,
        photos: str | Path | Iterable[str | Path],
        metadata: str | Path | None = None,
        *,
        metadata_key: str | None = None,
        progress: Progress | None = None,
        chunk_size: int = CHUNK_SIZE,
        prune: bool = False,
        roles: Roles | None = None,
    ) -> AddReport:
        """Add the photos of a folder, or bring the gallery up to date with it.

        A photo is known by its path relative to the folder (in a list: by its file name). Only
        photos that are new, or whose bytes have changed, are encoded; changed metadata is written
        for all. Broken photos are skipped and reported.

        Args:
            photos: A folder, searched recursively, or a list of files.
            metadata: A CSV with a row per photo; see `tmcir.gallery.metadata.read_metadata`.
            metadata_key: Its column that names the photos; None finds it.
            progress: Called with photos done and photos in all.
            chunk_size: Photos written at once. A killed call keeps all chunks written so far, and
                the next call resumes from there.
            prune: Remove photos that are no longer in the folder, or in the list. Without it
                they stay. A photo that is there but broken, or whose folder cannot be read, keeps
                its last valid vector.
            roles: Columns with a product's title, link, price and group, as the table or the
                gallery names them; kept in the gallery. A None stays as it is.

        Returns:
            What was added, updated, left unchanged, removed and skipped.

        Raises:
            TMCIRError: The folder or the CSV cannot be used, the gallery cannot be written, or
                pruning would empty it.
        """
        if chunk_size < 1:
            raise TMCIRError(f"chunk_size must be at least 1, not {chunk_size}")
        started = time.perf_counter()
        found = find_photos(photos, metadata).without(self.removed())
        report = AddReport(skipped=[*found.skipped], notes=[*found.notes])
        known = self._columns_now()
        if prune and not found.photos and len(self):
            raise TMCIRError(f"{photos}: holds no photos; pruning would empty the gallery")
        table = Metadata()
        if metadata is not None:
            ids = [photo.id for photo in found.photos]
            table = read_metadata(metadata, ids, metadata_key, known)
            report.notes += [f"metadata: {note}" for note in table.notes]
        with self._store.alone():
            self._create_or_check()
            self._add_columns(table, roles)
            write_photos(
                self._store, self._model, found.photos, table, report, chunk_size, progress
            )
            if prune:
                report.removed = self._prune(found)
        report.seconds = time.perf_counter() - started
        return report

    def remove(self, ids: Iterable[str]) -> int:
        """Remove photos from the gallery for good; their files stay.

        `add` skips them from now on, until `restore`.

        Returns:
            How many were removed; ids that are not there are ignored.

        Raises:
            TMCIRError: There is no gallery, or it cannot be written.
        """
        if isinstance(ids, str):
            raise TMCIRError("remove takes a list of ids, not one text")
        self._require()
        asked = list(dict.fromkeys(ids))
        with self._store.alone():
            found = list(self._store.rows(asked))
            if not found:
                return 0
            # noted first: after a kill in between, the photo can be removed again
            self._keep_removed(self.removed() | set(found))
            removed = self._store.remove(found)
            self._store.tidy()
        return removed

    def removed(self) -> set[str]:
        """Return the ids of the photos that were removed for good."""
        if self._store.model() is None:
            return set()
        stored = self._store.setting(_REMOVED)
        where = f"{self._uri}: the list of removed photos"
        return set() if stored is None else set(parse_json(stored, where, list[str]))

    def restore(self, ids: Iterable[str] | None = None) -> int:
        """Undo `remove`: the next `add` indexes these photos again.

        Args:
            ids: Their ids; None for all of them.

        Returns:
            How many will be indexed again; ids that were not removed are ignored.

        Raises:
            TMCIRError: There is no gallery, or it cannot be written.
        """
        if isinstance(ids, str):
            raise TMCIRError("restore takes a list of ids, not one text")
        self._require()
        with self._store.alone():
            removed = self.removed()
            asked = removed if ids is None else removed & set(ids)
            if asked:
                self._keep_removed(removed - asked)
        return len(asked)

    def roles(self) -> Roles:
        """Return the columns with a product's title, link, price and group.

        Columns given to `add`; the others are guessed from names and values.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()
        return self.chosen_roles().or_else(guess_roles(self.summarise(list(self.columns()))))

    def chosen_roles(self) -> Roles:
        """Return the roles that were given to `add`, without guesses."""
        stored = None if self._store.model() is None else self._store.setting(_ROLES)
        return Roles() if stored is None else parse_json(stored, f"{self._uri}: roles", Roles)

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those of the ids that no photo of the gallery has, each once, in order.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()
        asked = list(dict.fromkeys(ids))
        found = self._store.rows(asked)
        return [name for name in asked if name not in found]

    def export(self, path: str | Path) -> int:
        """Write ids, paths, hashes, metadata and vectors to a Parquet file, completely or not.

        Returns:
            The number of rows.

        Raises:
            TMCIRError: There is no gallery, or the file cannot be written.
        """
        require_writable(Path(path))
        self._require()
        names = [name for name in OWN_COLUMNS if name != "thumbnail_jpeg"]
        rows = self._store.batches([*names, *self._store.columns()])
        return write_parquet(Path(path), rows, self._store.model() or self._record)

    def columns(self) -> dict[str, ColumnKind]:
        """Return the metadata columns and their kinds: ``integer``, ``number`` or ``text``."""
        return {} if self._store.model() is None else dict(self._store.columns())

    def values(self, column: str, limit: int = 50) -> list[tuple[Value, int]]:
        """Return the most frequent values of a metadata column and the photos that have each.

        Raises:
            TMCIRError: There is no such column, or no gallery.
        """
        self._require()
        if column not in self._store.columns():
            raise unknown_choice("column", column, self._store.columns())
        counted = self._store.values(column).items()
        return sorted(counted, key=lambda pair: (-pair[1], str(pair[0])))[:limit]

    def summarise(self, columns: Sequence[str], limit: int = 50) -> list[ColumnSummary]:
        """Summarise metadata columns in one pass over all photos.

        Args:
            columns: Their names.
            limit: Number of most frequent values a column.

        Raises:
            TMCIRError: There is no such column, or no gallery.
        """
        self._require()
        kinds = self._store.columns()
        for name in columns:
            if name not in kinds:
                raise unknown_choice("column", name, kinds)
        batches = self._store.batches(list(columns)) if columns else ()
        return summarise(batches, {name: kinds[name] for name in columns}, limit)

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """Return the ids of at most ``count`` photos that differ from one another.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()
        return sample(self._store, self._model.embedding_size, count, seed)

    def items(self, names: Sequence[str]) -> list[Item]:
        """Return photos by their ids; unknown ids are skipped.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()
        rows = self._store.rows(names)
        return [
            Item(name, Path(str(rows[name]["path"])), metadata_of(rows[name]))
            for name in names
            if name in rows
        ]

    def refresh(self) -> None:
        """See what other processes have written.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()

    def item(self, name: str) -> Item:
        """Return a photo by its id.

        Raises:
            UnknownItemError: There is no such photo.
            TMCIRError: There is no gallery.
        """
        found = self.items([name])
        if not found:
            raise unknown_item(name)
        return found[0]

    def thumbnail(self, name: str) -> bytes:
        """Return a photo's thumbnail, made when the photo was indexed, as a JPEG.

        Raises:
            UnknownItemError: There is no such photo.
            TMCIRError: There is no gallery.
        """
        self._require()
        stored = self._store.thumbnails([name]).get(name)
        if stored is None:
            raise unknown_item(name)
        return stored

    def info(self, recall_queries: int = 0) -> GalleryInfo:
        """Return a summary of the gallery.

        Args:
            recall_queries: Number of queries on which to measure the recall of searches, which
                takes a pass over all vectors; see `tmcir.gallery.stores.approximate.recall`.

        Raises:
            TMCIRError: There is no gallery.
        """
        self._require()
        return GalleryInfo(
            uri=self._uri,
            photos=len(self._store),
            model=self._store.model() or self._record,
            columns=self._store.columns(),
            store=self._store.info(),
            exact_up_to=self._exact_up_to,
            recall=recall(self._store, recall_queries) if recall_queries else None,
        )

    @property
    def model_name(self) -> str:
        """What reports call the model."""
        return self._record.name

    @property
    def image_size(self) -> int:
        """Side of the square that the model reads: query images need no more pixels."""
        return self._model.image_size

    @property
    def has_words(self) -> bool:
        """Whether ``words`` can be searched here: on LanceDB they can."""
        return self._store.has_words

    def __len__(self) -> int:
        """Return the number of photos; 0 where the gallery does not exist yet."""
        return len(self._store)

    # Searching

    def search(
        self,
        image: ImageSource | None = None,
        text: str | None = None,
        k: int = 20,
        where: str | None = None,
        balance: float = 0.0,
        *,
        item: str | None = None,
        more_like: Sequence[str] = (),
        less_like: Sequence[str] = (),
        terms: Sequence[Term | tuple[ImageSource, float]] = (),
        offset: int = 0,
        deduplicate: bool = False,
        group: str | None = None,
        min_relevance: float = 0.0,
        words: Sequence[str] = (),
    ) -> list[Hit]:
        """Return the photos nearest to a query, the best first; ties in the order of their ids.

        The query's own photo is a hit like any other; ``where="id != '...'"`` excludes it.

        Args:
            image: Reference image, a file or a PIL image.
            text: How the result should differ from it or, without an image, what it shows.
            k: How many results.
            where: SQL condition on ids and metadata, such as ``"baseColour != 'Black'"``.
            balance: In [-1, 1]: -1 follows the image only, 1 the text only.
            item: Id of a photo of the gallery, as the reference in place of ``image``.
            more_like: Ids of photos of the gallery; results move towards them.
            less_like: Ids of photos of the gallery; results move away from them.
            terms: Further texts (``str``) and images (paths, PIL images), each with a weight, such
                as ``("buttons", -0.5)``; `Term` names a photo of the gallery.
            offset: Results to skip before the first: page 3 of 20 has the offset 40.
            deduplicate: Merge near-duplicates, see `tmcir.gallery.duplicates.deduplicate`.
            group: Metadata column whose values are shown once each, such as the product's id.
            min_relevance: In [0, 1], see `tmcir.gallery.relevance`; other photos are not returned.
            words: Columns whose words count in the ranking, too, see `tmcir.gallery.words`.

        Raises:
            UnknownItemError: An id is not in the gallery.
            TMCIRError: The query or the filter is not valid, or there is no such gallery.
            ImageError: The image cannot be read.
        """
        if any(isinstance(given, str) for given in (more_like, less_like, words)):
            raise TMCIRError("more_like, less_like and words take lists, not one text")
        examples = tuple(more_like), tuple(less_like)
        query = Query(image, item, text or "", balance, *examples, tuple(map(Term.of, terms)))
        query.check()
        check_page(k, offset)
        check_relevance(min_relevance)
        self._require()
        return self.find(
            self.embed([query])[0],
            k,
            where=where,
            offset=offset,
            deduplicate=deduplicate,
            group=group,
            min_relevance=min_relevance,
            words=Words(query.text, words) if words else None,
        )

    def embed(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Embed queries for `find`: float32 [N, D], L2-normalised.

        Queries of one kind (image alone, text alone, both) are one call of the model, so that
        requests that arrive together cost little more than one.

        Raises:
            UnknownItemError: An id is not in the gallery.
            TMCIRError: A query is empty or out of range, or there is no such gallery.
            ImageError: An image cannot be read.
        """
        for query in queries:
            query.check()
        self._require()
        return embed(self._model, self._store, queries)

    def find(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        where: str | None = None,
        offset: int = 0,
        deduplicate: bool = False,
        group: str | None = None,
        sort: Sort | None = None,
        min_relevance: float = 0.0,
        words: Words | None = None,
    ) -> list[Hit]:
        """Return the photos nearest to a unit vector [D]: the second half of `search`.

        Pages neither overlap nor have gaps, as long as nothing is written in between.

        Args:
            vector: Float32 [D], L2-normalised.
            k: How many results.
            where: SQL condition on ids and metadata.
            offset: Results to skip before the first.
            deduplicate: Merge near-duplicates.
            group: Metadata column whose values are shown once each.
            sort: Sort the relevant photos by a column, at most
                `tmcir.gallery.arranging.SORTED_PHOTOS`, and return no others.
            min_relevance: Return only photos of this relevance or more; photos that have words of
                the query come whatever their relevance is.
            words: Words that count in the ranking, too.

        Raises:
            TMCIRError: ``k`` or ``offset`` is out of range, the vector does not fit, the filter
                cannot be read, a column is unknown, or there is no such gallery.
        """
        check_page(k, offset)
        vector = np.asarray(vector, np.float32)
        if vector.shape != (self._model.embedding_size,) or not np.isfinite(vector).all():
            raise TMCIRError(
                f"find takes one finite vector of {self._model.embedding_size} numbers"
            )
        check_relevance(min_relevance)
        self._require()
        condition = where if where is not None and where.strip() else None
        background = self.background()
        ranking = by_vector(self._store, vector, condition)
        if min_relevance:
            ranking = from_score(ranking, background.minimum_score(vector, min_relevance))
        if words is not None and words.text.strip():
            matched = find_words(self._store, vector, words, condition)
            ranking = fused(self._store, ranking, vector, matched)
        arrangement = Arrangement(deduplicate, group, sort)
        if arrangement == Arrangement():
            hits = find_page(self._store, ranking, k, offset)
        else:
            depth = 0 if sort is None else count_sorted(self._store, vector, condition)
            hits = find_arranged_page(self._store, ranking, k, offset, arrangement, depth)
        return _with_relevance(hits, background, vector)

    def background(self) -> Background:
        """Return what relevance compares hits with, computed again where photos were added.

        Raises:
            TMCIRError: There is no gallery, or it cannot be read.
        """
        self._require()
        self._background = known = measure_background(self._store, self._background)
        return known

    def unread(self, query: Query) -> str:
        """Return the end of the first text of the query that the model does not read whole.

        Every text tower reads a limited number of tokens. "" where all texts are read.
        """
        texts = [query.text, *(term.text or "" for term in query.terms)]
        return next(filter(None, (self._model.unread(text.strip()) for text in texts)), "")

    def explain(self, query: Query) -> Explanation:
        """Explain a query with reference and text: the gate, and patches merged into words.

        Raises:
            UnknownItemError: The item is not in the gallery.
            TMCIRError: The query has no reference or no text.
            ImageError: The image cannot be read.
        """
        query.check()
        self._require()
        image = reference(self._store, self._model.image_size, query)
        return self._model.explain(image, query.text.strip())

    def _columns_now(self) -> dict[str, ColumnKind]:
        """Return the columns of the newest version; none where there is no gallery yet."""
        if self._store.model() is None:
            return {}
        self._store.refresh()
        return self._store.columns()

    def _create_or_check(self) -> None:
        stored = self._store.model()
        if stored is None:
            self._store.create(self._record, self._precision)
        else:
            check_same(self._uri, stored, self._record)

    def _add_columns(self, table: Metadata, roles: Roles | None) -> None:
        known = self._store.columns()  # again: another writer may have added some meanwhile
        new = {name: kind for name, kind in table.columns.items() if name not in known}
        self._store.add_columns(new)
        if roles is not None:
            chosen = named_roles(roles, self._store.columns()).or_else(self.chosen_roles())
            self._store.change_setting(_ROLES, json.dumps(asdict(chosen)))

    def _keep_removed(self, ids: set[str]) -> None:
        self._store.change_setting(_REMOVED, json.dumps(sorted(ids), ensure_ascii=False))

    def _prune(self, found: FoundPhotos) -> int:
        missing = self._store.files().keys() - {photo.id for photo in found.photos}
        gone = sorted(name for name in missing if not found.may_still_have(name))
        removed = self._store.remove(gone)
        if removed:
            self._store.tidy()
        return removed

    def _require(self) -> None:
        """See the newest version of the gallery, which must exist."""
        if self._store.model() is None:
            raise _missing(self._uri)
        self._store.refresh()


def _with_relevance(
    hits: Sequence[Hit], background: Background, vector: NDArray[np.float32]
) -> list[Hit]:
    found = background.relevance(vector, np.asarray([hit.score for hit in hits], np.float64))
    return [replace(hit, relevance=float(one)) for hit, one in zip(hits, found, strict=True)]


def _missing(uri: str) -> TMCIRError:
    return TMCIRError(f"{uri}: there is no gallery; make one with `tmcir index {uri} PHOTOS`")
