"""The service behind the routes: one gallery, one worker, threads to decode and to read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import BinaryIO, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray
from PIL import Image

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.images import read_image_stream
from tmcir.gallery import (
    Condition,
    Gallery,
    Hit,
    Item,
    Query,
    Roles,
    Sort,
    Term,
    Words,
    to_query,
    to_where,
)
from tmcir.gallery.roles import guess_roles
from tmcir.gallery.stores.base import Value
from tmcir.gallery.summaries import ColumnSummary
from tmcir.gallery.words import word_columns
from tmcir.models.explained import Explanation
from tmcir.service.errors import ServiceError, busy, invalid_as, unavailable
from tmcir.service.metrics import Metrics, Steps
from tmcir.service.schemas import MAXIMUM_FACET_VALUES, SearchRequest, TrailRequest
from tmcir.service.settings import ServiceSettings
from tmcir.service.shared import Shared
from tmcir.service.signing import Signer
from tmcir.service.wording import shown
from tmcir.service.worker import BusyError, ClosedError, Done, Worker

T = TypeVar("T")

#: Maximum number of photos that `Searcher.sample` returns.
MAXIMUM_SAMPLE = 48
#: Maximum number of columns that `Searcher.summaries` returns.
MAXIMUM_FACETS = 200


class Searcher:
    """Searches one gallery for many clients.

    Args:
        gallery: The gallery, with its model.
        settings: Limits.
    """

    def __init__(self, gallery: Gallery, settings: ServiceSettings) -> None:
        self.gallery = gallery
        self.settings = settings
        self.signer = Signer(settings.api_keys)
        self._worker = Worker(
            gallery, settings.queue_size, settings.batch_size, settings.batch_window
        )
        self.metrics = Metrics(lambda: self._worker.waiting)
        # Few, because an image of the largest size takes hundreds of megabytes while it is decoded.
        self._decoding = CapacityLimiter(min(4, os.cpu_count() or 1))
        self._reading = CapacityLimiter(8)
        self._changing = CapacityLimiter(1)
        self._summaries = Shared(self._read_summaries)
        self._sample = Shared(self._read_sample)

    async def start(self) -> None:
        """Start the worker, and load everything that the first search needs.

        Raises:
            TMCIRError: There is no gallery, or it cannot be read.
        """
        self._worker.start()
        photos = await self.count()
        self._summaries.begin(photos)
        if photos:
            vector = (await asyncio.wrap_future(self._worker.embed(Query(text="a photo")))).value
            await self.read(lambda: self.gallery.find(vector, 1))

    async def close(self) -> None:
        """Finish the queued queries, and stop the worker."""
        await self._summaries.close()
        await self._sample.close()
        await asyncio.to_thread(self._worker.close, self.settings.timeout)

    async def check_ready(self) -> None:
        """Check that searches can be answered.

        Raises:
            ServiceError: It would not.
            TMCIRError: The gallery cannot be read.
        """
        if not self._worker.alive:
            raise unavailable("closing", "the service is starting or shutting down")
        await self.read(self.gallery.columns)

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read of the gallery in a thread."""
        return await to_thread.run_sync(work, limiter=self._reading, abandon_on_cancel=True)

    async def change(self, work: Callable[[], T]) -> T:
        """Run a change of the gallery in a thread, one at a time."""
        return await to_thread.run_sync(work, limiter=self._changing, abandon_on_cancel=True)

    async def search(
        self, request: SearchRequest, upload: BinaryIO | None, steps: Steps
    ) -> tuple[Query, list[Hit], int | None]:
        """Return the query of the turns, its hits, and the offset of the next page.

        Raises:
            ServiceError: The request is not valid, or the queue is full.
            UnknownItemError: An id is not in the gallery.
        """
        where = await self._where(request)
        query = await self._query(request, upload, steps)
        vector = await self._embed(query, steps)
        with steps.timed("search"):
            return query, *await self.read(lambda: self._page(query, vector, where, request))

    async def _where(self, request: SearchRequest) -> str | None:
        """Return the filter of a search, and check that all columns which it names are there."""
        named = [request.group, None if request.sort is None else request.sort.column]
        if not request.filters and named == [None, None] and not request.words:
            return None
        columns = await self.read(self.gallery.columns)
        conditions = [
            Condition(given.column, given.operator, given.value) for given in request.filters
        ]
        with invalid_as("invalid_filter"):
            where = to_where(conditions, columns)
        for code, name in zip(("invalid_group", "invalid_sort"), named, strict=True):
            if name is not None and name not in columns:
                raise ServiceError(422, code, str(unknown_choice("column", shown(name), columns)))
        with invalid_as("invalid_words"):
            if request.words:
                Words("", [shown(name) for name in request.words]).check(columns)
                if not self.gallery.has_words:
                    raise TMCIRError("words cannot be searched in this gallery")
        return where or None

    async def explain(
        self, request: TrailRequest, upload: BinaryIO | None, steps: Steps
    ) -> tuple[Query, Explanation]:
        """Explain the query of the turns.

        Raises:
            ServiceError: The request is not valid, or the queue is full.
            UnknownItemError: An id is not in the gallery.
        """
        query = await self._query(request, upload, steps)
        if not query.has_reference or not query.text.strip():
            raise ServiceError(
                422, "invalid_query", "only a query with a reference and a text can be explained"
            )
        done = await self._settled(lambda: self._worker.explain(query))
        steps.add("wait", done.waited)
        steps.add("encode", done.took)
        return query, done.value

    async def count(self) -> int:
        """Return how many photos there are now."""

        def count() -> int:
            self.gallery.refresh()
            return len(self.gallery)

        photos = await self.read(count)
        self.metrics.photos.set(photos)
        return photos

    async def summaries(self) -> list[ColumnSummary]:
        """Return summaries of the first columns."""
        return await self._summaries.get(await self.count())

    async def roles(self) -> Roles:
        """Return the roles of metadata columns."""
        guessed = guess_roles(await self.summaries())
        return (await self.read(self.gallery.chosen_roles)).or_else(guessed)

    async def word_columns(self) -> list[str]:
        """Return the columns that a person's words may mean; none where no words are searched."""
        if not self.gallery.has_words:
            return []
        return word_columns(await self.summaries(), await self.roles())

    async def sample(self, limit: int) -> list[Item]:
        """Return at most ``limit`` photos that differ from one another, to start from."""
        names = await self._sample.get(await self.count())
        return await self.read(lambda: self.gallery.items(names[:limit]))

    async def _read_summaries(self) -> list[ColumnSummary]:
        def summarise() -> list[ColumnSummary]:
            columns = list(self.gallery.columns())[:MAXIMUM_FACETS]
            return self.gallery.summarise(columns, MAXIMUM_FACET_VALUES)

        return await self.read(summarise)

    async def _read_sample(self) -> list[str]:
        return await self.read(lambda: self.gallery.sample(MAXIMUM_SAMPLE))

    async def _query(self, request: TrailRequest, upload: BinaryIO | None, steps: Steps) -> Query:
        starts = [turn for turn in request.turns if turn.item is not None or turn.upload]
        if any(turn.item is not None and turn.upload for turn in starts):
            raise ServiceError(
                422, "invalid_query", "a turn starts from an item or from the upload, not both"
            )
        image: Image.Image | None = None
        # the uploads of turns before the last start are history, and need not be sent again
        if starts and starts[-1].upload:
            if upload is None:
                raise ServiceError(
                    422, "image_missing", "a turn starts from the upload, but no image was sent"
                )
            with invalid_as("invalid_image"), steps.timed("decode"):
                image = await to_thread.run_sync(
                    self._decode, upload, limiter=self._decoding, abandon_on_cancel=True
                )
        turns = [
            Query(
                image=image if turn.upload else None,
                item=turn.item,
                text=turn.text,
                balance=turn.balance,
                more_like=tuple(turn.more_like),
                less_like=tuple(turn.less_like),
                terms=tuple(
                    Term(term.weight, text=term.text, item=term.item) for term in turn.terms
                ),
            )
            for turn in request.turns
        ]
        with invalid_as("invalid_query"):
            query = to_query(turns)
        items = [query.item, *(term.item for term in query.terms)]
        named = [*query.more_like, *query.less_like, *(item for item in items if item)]
        # before it is queued, so that an unknown id does not fail a batch of others
        await self.read(lambda: [self.gallery.item(name) for name in named])
        return query

    def _decode(self, upload: BinaryIO) -> Image.Image:
        side = self.gallery.image_size
        return read_image_stream(upload, side, maximum_pixels=self.settings.maximum_pixels)

    async def _embed(self, query: Query, steps: Steps) -> NDArray[np.float32]:
        done = await self._settled(lambda: self._worker.embed(query))
        steps.add("wait", done.waited)
        steps.add("encode", done.took)
        self.metrics.batch_size.observe(done.batch)
        return done.value

    async def _settled(self, hand: Callable[[], Future[Done[T]]]) -> Done[T]:
        try:
            return await asyncio.wrap_future(hand())
        except BusyError:
            raise busy() from None
        except ClosedError:
            raise unavailable("closing", "the service is shutting down") from None

    def _page(
        self,
        query: Query,
        vector: NDArray[np.float32],
        where: str | None,
        request: SearchRequest,
    ) -> tuple[list[Hit], int | None]:
        """Find a page without the reference, the rejected photos, and other photos of either.

        These are excluded here and not by the filter, which would make every search a filtered one.
        So an offset counts them, and the next page begins where this one ends.
        """
        excluded = {*query.less_like, *([query.item] if query.item else [])}
        groups: set[Value] = set()
        if request.group is not None:
            items = self.gallery.items(sorted(excluded))
            groups = {item.metadata.get(request.group) for item in items} - {None}
        sort = None if request.sort is None else Sort(request.sort.column, request.sort.descending)
        found = self.gallery.find(
            vector,
            request.k + len(excluded) + 1,
            where=where,
            offset=request.offset,
            deduplicate=request.deduplicate,
            group=request.group,
            sort=sort,
            min_relevance=request.min_relevance,
            words=Words(query.text, request.words) if request.words else None,
        )
        skipped = {
            hit.id
            for hit in found
            if hit.id in excluded or (groups and hit.metadata.get(str(request.group)) in groups)
        }
        return page(found, skipped, request.k, request.offset)


def page(
    found: Sequence[Hit], excluded: set[str], k: int, offset: int
) -> tuple[list[Hit], int | None]:
    """Return the first ``k`` hits that are not excluded, and the offset of the next page.

    Args:
        found: Hits from ``offset`` on; more than k of them are not excluded, or there are no more.
        excluded: Ids.
        k: Hits of a page.
        offset: Hits before ``found``, whether excluded or not.
    """
    kept = [index for index, hit in enumerate(found) if hit.id not in excluded]
    hits = [found[index] for index in kept[:k]]
    return hits, offset + kept[k] if len(kept) > k else None
