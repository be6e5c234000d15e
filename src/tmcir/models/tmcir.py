"""The model: the towers of an encoder and a composer, with one embedding space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from tmcir.core.batching import batches
from tmcir.core.images import read_image
from tmcir.models import storage
from tmcir.models.balance import balanced
from tmcir.models.card import TEMPLATE
from tmcir.models.composer import Composition, MergeMap
from tmcir.models.encoders import Encoder
from tmcir.models.explained import Explanation, Merged, token_effect, with_merge
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.methods import DEFAULT, build_composer
from tmcir.models.preprocessing import read_pixels
from tmcir.models.queries import ImageSource, check_explained, checked_balance, checked_queries


class TMCIR(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="tmcir",
    tags=["composed-image-retrieval"],
    model_card_template=TEMPLATE,
):
    """Composed image retrieval: one embedding space for images, texts and composed queries.

    Args:
        encoder: The towers.
        method: How queries are composed, see ``tmcir.models.methods``: adaptive token fusion, one
            of its baselines, or a composer of one's own.
        settings: The method's settings; the others have their defaults.
        name: What reports call the model.

    Attributes:
        composer: The composer, a module.
        settings: The values of all settings of the method.
        card: Text of the model card; None writes the default one.
        half_precision_files: Whether ``save_pretrained`` writes matrices in float16; loaded weights
            are always float32.

    Raises:
        TMCIRError: There is no such method, or a setting is unknown or out of range.
    """

    def __init__(
        self,
        encoder: Encoder,
        method: str = DEFAULT,
        settings: Mapping[str, Any] | None = None,
        name: str = "tmcir",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.method = method
        self.composer, self.settings = build_composer(method, encoder, settings or {})
        self.name = name
        self.card: str | None = None
        self.half_precision_files = False

    # Properties

    #: Whether queries are composed from features of an image and a text, which can be kept.
    composes_features = True

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.logit_scale.device

    @property
    def embedding_size(self) -> int:
        """D, the size of every embedding."""
        return self.encoder.embedding_size

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower reads, in pixels."""
        return self.encoder.preprocessor.size

    @property
    def identity(self) -> str:
        """Hexadecimal hash of all that embeddings depend on; see ``storage.identity``."""
        return storage.identity(self)

    # The public interface

    def encode_images(self, images: Iterable[ImageSource], batch_size: int = 64) -> Tensor:
        """Embed images for a gallery.

        Args:
            images: Paths or PIL images.
            batch_size: Images encoded at once.

        Returns:
            float32 [N, D] on the CPU, L2-normalised.

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        chunks = batches(list(images), batch_size)
        return self._stack(self.image_features(batch).pooled for batch in chunks)

    def encode_texts(self, texts: Iterable[str], batch_size: int = 256) -> Tensor:
        """Embed texts: float32 [N, D] on the CPU, L2-normalised."""
        chunks = batches(list(texts), batch_size)
        return self._stack(self.text_features(batch).pooled for batch in chunks)

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
        batch_size: int = 64,
    ) -> Tensor:
        """Embed composed queries: these images, modified as these texts say.

        A blank text asks for no change: its query is the image's own embedding.

        Args:
            images: N reference images, paths or PIL images.
            texts: N modification texts.
            balance: In [-1, 1], one for all or one a query. 0 is the model's own query; towards -1
                it moves to the image embedding, towards 1 to the text embedding, and is exactly
                that at the ends.
            batch_size: Queries composed at once.

        Returns:
            float32 [N, D] on the CPU, L2-normalised; rank a gallery by its dot products.

        Raises:
            TMCIRError: The counts differ, or ``balance`` is out of range.
            ImageError: An image is missing, broken or too large.
        """
        balances = checked_queries(images, texts, balance)
        queries = batches(list(zip(images, texts, balances, strict=True)), batch_size)
        return self._stack(
            self.fuse(
                self.image_features([image for image, _, _ in batch]),
                self.text_features([text for _, text, _ in batch]),
                [weight for _, _, weight in batch],
            )
            for batch in queries
        )

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Explain a query: its similarity to both embeddings, the gate, the merged patches.

        Raises:
            TMCIRError: The text is blank.
            ImageError: The image is missing, broken or too large.
        """
        check_explained(text)
        image = read_image(image, self.image_size)
        with self._inference():
            image_features, text_features = self.image_features([image]), self.text_features([text])
            output = self.forward(image_features, text_features)
        preprocessor, without = self.encoder.preprocessor, output.without_tokens
        explanation = Explanation(
            gate=None if output.gate is None else _pair(output.gate[0]),
            words=self.encoder.words(text),
            grid=self.encoder.grid or (1, 1),
            fit=preprocessor.fit,
            region=preprocessor.region(*image.size),
            token_effect=token_effect(
                output.query[0].float().cpu().numpy(),
                None if without is None else without[0].float().cpu().numpy(),
            ),
            similarity=_pair(
                torch.cat([image_features.pooled, text_features.pooled]) @ output.query[0]
            ),
        )
        if output.merge is None or self.encoder.grid is None:
            return explanation
        return with_merge(explanation, _merged(output.merge))

    def unread(self, text: str) -> str:
        """Return the end of a text that is too long to be read; "" where all of it is read."""
        return self.encoder.unread(text)

    # For training and evaluation

    def preprocess(self, images: Sequence[ImageSource]) -> Tensor:
        """Read images into normalised pixel values, float32 [N, 3, S, S] on the CPU.

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        return self.encoder.preprocessor.normalise(self.read_pixels(images))

    def read_pixels(self, images: Sequence[ImageSource]) -> Tensor:
        """Read images as the tower sees them, before normalisation, uint8 [N, 3, S, S].

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        return torch.from_numpy(read_pixels(images, self.encoder.preprocessor))

    def image_features(self, images: Sequence[ImageSource] | Tensor) -> ImageFeatures:
        """Encode N images, or their pixel values [N, 3, S, S], without gradients."""
        with self._inference():
            pixels = images if isinstance(images, Tensor) else self.preprocess(images)
            return self.encoder.image_features(pixels.to(self.device))

    def text_features(self, texts: Sequence[str] | TextTokens) -> TextFeatures:
        """Encode N texts, or their tokens, without gradients."""
        with self._inference():
            tokens = texts if isinstance(texts, TextTokens) else self.encoder.tokenize(list(texts))
            return self.encoder.text_features(tokens.to(self.device))

    def fuse(
        self, image: ImageFeatures, text: TextFeatures, balance: float | Sequence[float] = 0.0
    ) -> Tensor:
        """Compose features as ``compose`` does images and texts: float [N, D], L2-normalised.

        Raises:
            TMCIRError: ``balance`` is out of [-1, 1].
        """
        shift = torch.as_tensor(checked_balance(balance))
        with self._inference():
            query = self.forward(image, text).query
            # the mask says nothing where tokens were not kept
            said = text.mask.any(dim=1) if text.source is None else self._has_content(text.source)
            query = query.where(said[:, None], image.pooled)
            return balanced(query, image.pooled, text.pooled, shift)

    def _has_content(self, tokens: TextTokens) -> Tensor:
        return self.encoder.has_content(tokens).to(self.device)

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Composition:
        """Compose queries from features of both towers, with gradients."""
        output: Composition = self.composer(image, text, self.encoder)
        return output

    # Saving and loading

    def _save_pretrained(self, save_directory: Path) -> None:
        storage.save(self, save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> TMCIR:
        folder = storage.find_directory(model_id, options)
        parts = storage.read_parts(folder)
        model = cls(parts.encoder, parts.method, parts.settings, model_id)
        model.load_weights(folder / storage.WEIGHTS)
        model.card = parts.card
        return model.eval()

    def load_weights(self, path: Path) -> None:
        """Load every weight from a safetensors file.

        Raises:
            TMCIRError: The file is missing, broken, or of another architecture.
        """
        storage.load_weights(self, path)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Evaluate without gradients and in evaluation mode, and leave the mode as it was."""
        training = self.training
        if training:
            self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            if training:
                self.train()

    def _stack(self, parts: Iterable[Tensor]) -> Tensor:
        collected = [part.float().cpu() for part in parts]
        return torch.cat(collected) if collected else torch.empty(0, self.embedding_size)


def _pair(values: Tensor) -> tuple[float, float]:
    first, second = values.tolist()
    return first, second


def _merged(merge: MergeMap) -> Merged:
    """Return the merge map of the first sample."""
    return Merged(
        assignment=merge.assignment[0].cpu().numpy(),
        weights=merge.weights[0].float().cpu().numpy(),
        alpha=merge.alpha[0].float().cpu().numpy(),
        matched_share=float(merge.matched_share[0]),
        threshold=float(merge.threshold[0]),
    )
