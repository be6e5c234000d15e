"""From samples to training batches: images and texts sampled per step.

A batch is a pure function of (seed, stage, step), so that a resumed run repeats an undisturbed one,
with any number of micro-batches. Letters used in shapes: B pairs, U unique images, K further
negatives of a pair, S image side, L text tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise

import torch
from torch import Tensor

from tmcir.core.hashing import stable_number
from tmcir.models.encoders import Encoder
from tmcir.models.features import ImageFeatures, TextFeatures, TextStates, TextTokens
from tmcir.training.images import Images, States
from tmcir.training.texts import Texts, TokenisedTexts


@dataclass(frozen=True, slots=True)
class Sample:
    """One training pair, by name.

    Attributes:
        target: The image that the text, or the reference with the text, should find.
        texts: Equally likely texts; one is sampled per step.
        reference: The reference image; None in the alignment stage.
        group: Samples with equal groups are not negatives of each other; None groups by the text.
        negatives: Images that are no answer, for a stage that samples further negatives.
        captions: Equally likely texts that describe the target; for a loss on captions.
    """

    target: str
    texts: tuple[str, ...]
    reference: str | None = None
    group: tuple[str, ...] | None = None
    negatives: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """B pairs and the images that they name, each image once.

    Attributes:
        images: float [U, 3, S, S], normalised; or states of U images, encoded before.
        text: Tokens of B texts; or states of them, encoded before.
        target: long [B], row in ``images`` of a pair's image, or of its target image.
        reference: long [B], row of the reference image; None in the alignment stage.
        groups: long [B], equal where two pairs must not be negatives of each other.
        negatives: long [B, K], rows of further negatives, -1 where a pair has fewer; None: K is 0.
        captions: B captions of the targets, as ``text`` is; empty where there is none. None: no
            loss on captions.
    """

    images: Tensor | States
    text: TextTokens | TextStates
    target: Tensor
    reference: Tensor | None
    groups: Tensor
    negatives: Tensor | None = None
    captions: TextTokens | TextStates | None = None

    def image_features(self, encoder: Encoder) -> ImageFeatures:
        """Return the features of the U images; pixels are encoded now."""
        if isinstance(self.images, Tensor):
            return encoder.image_features(self.images)
        return encoder.features_of(self.images)

    def text_features(self, encoder: Encoder) -> TextFeatures:
        """Return the features of the B texts; tokens are encoded now."""
        return _text_features(self.text, encoder)

    def caption_features(self, encoder: Encoder) -> tuple[Tensor, Tensor] | None:
        """Return embeddings of the captions, float [B, D], and bool [B], False where empty."""
        if self.captions is None:
            return None
        features = _text_features(self.captions, encoder)
        assert features.source is not None
        return features.pooled, encoder.has_content(features.source)

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``."""
        return Batch(
            _map(self.images, lambda tensor: tensor.to(device)),
            self.text.to(device),
            self.target.to(device),
            None if self.reference is None else self.reference.to(device),
            self.groups.to(device),
            None if self.negatives is None else self.negatives.to(device),
            None if self.captions is None else self.captions.to(device),
        )

    def split(self, max_images: int) -> list[Batch]:
        """Cut into micro-batches of consecutive pairs, each with only the images that it names.

        Args:
            max_images: Maximum number of images of a micro-batch; a pair with more is alone.
        """
        starts, images = [0], set[int]()
        for row, named in enumerate(self._named().tolist()):
            own = set(named) - {-1}
            if images and len(images | own) > max_images:
                starts.append(row)
                images = set()
            images |= own
        return [self._slice(slice(*rows)) for rows in pairwise([*starts, len(self.target)])]

    def _named(self) -> Tensor:
        """Return the images of each pair, long [B, 1 or 2, and K more]; -1 where there is none."""
        columns = [self.target[:, None]]
        if self.reference is not None:
            columns.append(self.reference[:, None])
        if self.negatives is not None:
            columns.append(self.negatives)
        return torch.cat(columns, dim=1)

    def _slice(self, rows: slice) -> Batch:
        named = self._named()[rows]
        used = named[named >= 0].unique()
        places = torch.searchsorted(used, named).where(named >= 0, -1)  # in ``used``
        own = 1 if self.reference is None else 2
        return Batch(
            images=_map(self.images, lambda tensor: tensor[used]),
            text=self.text.select(rows),
            target=places[:, 0],
            reference=None if self.reference is None else places[:, 1],
            groups=self.groups[rows],
            negatives=None if self.negatives is None else places[:, own:],
            captions=None if self.captions is None else self.captions.select(rows),
        )


def make_batch(
    samples: Sequence[Sample],
    encoder: Encoder,
    images: Images,
    seed: str,
    negatives: int = 0,
    encoded: Texts | None = None,
) -> Batch:
    """Sample the images and texts of a step.

    Args:
        samples: B samples.
        encoder: Tokenises the texts.
        images: Gives the images.
        seed: Fixes texts, negatives and views.
        negatives: K, further negatives of each sample, if it has as many.
        encoded: Gives the texts; None tokenises them.

    Raises:
        ImageError: An image is missing or broken.
    """
    composed = samples[0].reference is not None
    targets = [sample.target for sample in samples]
    references = [str(sample.reference) for sample in samples] if composed else []
    generator = random.Random(seed)
    texts = [generator.choice(sample.texts) for sample in samples]
    sampled = [
        generator.sample(sample.negatives, min(negatives, len(sample.negatives)))
        for sample in samples
    ]
    names = list(dict.fromkeys([*references, *targets, *chain.from_iterable(sampled)]))
    rows = {name: row for row, name in enumerate(names)}
    rows_of_negatives = [
        [rows[name] for name in own] + [-1] * (negatives - len(own)) for own in sampled
    ]
    # After all else was sampled: a loss on captions changes no other choice.
    captions = [generator.choice(sample.captions or ("",)) for sample in samples]
    groups = [
        _number(sample.group if sample.group is not None else (text.casefold().strip(),))
        for sample, text in zip(samples, texts, strict=True)
    ]
    source = encoded or TokenisedTexts(encoder)
    return Batch(
        images=images.draw(names, seed),
        text=source.draw(texts),
        target=torch.tensor([rows[name] for name in targets]),
        reference=torch.tensor([rows[name] for name in references]) if composed else None,
        groups=torch.tensor(groups),
        negatives=torch.tensor(rows_of_negatives) if negatives else None,
        captions=source.draw(captions) if any(captions) else None,
    )


def _text_features(texts: TextTokens | TextStates, encoder: Encoder) -> TextFeatures:
    if isinstance(texts, TextStates):
        return encoder.text_features_of(texts)
    return encoder.text_features(texts)


def _map(images: Tensor | States, change: Callable[[Tensor], Tensor]) -> Tensor | States:
    return change(images) if isinstance(images, Tensor) else tuple(change(one) for one in images)


@lru_cache(maxsize=65536)
def _number(key: tuple[str, ...]) -> int:
    """Return a 63-bit number for a key: the same in every process, unlike ``hash``."""
    return stable_number("\n".join(key))
