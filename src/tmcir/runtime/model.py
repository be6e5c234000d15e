"""A model over exported graphs, with the search interface of ``TMCIR``, without torch.

Letters used in shapes: N samples, P patch tokens, L text tokens, T tokens with special ones, D
joint embedding size, S image side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tmcir.core.batching import batches
from tmcir.core.images import read_image
from tmcir.core.json_files import read_json
from tmcir.models.explained import Explanation, Merged, token_effect, with_merge
from tmcir.models.preprocessing import ImagePreprocessor, read_pixels
from tmcir.models.queries import ImageSource, check_explained, checked_balance, checked_queries
from tmcir.runs.prefetch import prefetch
from tmcir.runtime.manifest import PREPROCESSOR, WEIGHTS, Manifest
from tmcir.runtime.sessions import Arrays, Graphs, concatenated
from tmcir.runtime.tokenizer import TextTokenizer


class OnnxModel:
    """Composed image retrieval by ONNX Runtime, on the CPU.

    Embeddings and queries equal those of the same model in torch to 1e-4, and so does its identity:
    a gallery that one made is searched by the other. It cannot be trained.

    Args:
        folder: Model directory whose graphs were checked.
        manifest: Content of its graphs.json.
        name: What reports call the model.
        graphs: Folder of the graphs; None: ``folder``.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, name: str, graphs: Path | None = None
    ) -> None:
        self.name = name
        self._manifest = manifest
        self._graphs = Graphs(graphs or folder, folder / WEIGHTS)
        self._tokenizer = TextTokenizer(folder, manifest)
        settings = read_json(folder / PREPROCESSOR)
        self._preprocessor = ImagePreprocessor.from_dict(settings, manifest.image_size)

    # What the model is

    @property
    def method(self) -> str:
        """How queries are composed."""
        return self._manifest.method

    @property
    def identity(self) -> str:
        """Hexadecimal hash of all that embeddings depend on; the same as in torch."""
        return self._manifest.identity

    @property
    def embedding_size(self) -> int:
        """D, the size of every embedding."""
        return self._manifest.embedding_size

    @property
    def image_size(self) -> int:
        """Side of the square that the image tower reads, in pixels."""
        return self._preprocessor.size

    # What people call

    def encode_images(
        self, images: Iterable[ImageSource], batch_size: int = 32
    ) -> NDArray[np.float32]:
        """Embed images for a gallery.

        Args:
            images: Paths or PIL images.
            batch_size: Images encoded at once; the next ones are decoded meanwhile.

        Returns:
            float32 [N, D], L2-normalised.

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        with closing(prefetch(self.read_pixels, batches(list(images), batch_size))) as read:
            return self._joined([self._image_features(pixels)["pooled"] for pixels in read])

    def encode_texts(self, texts: Iterable[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Embed texts: float32 [N, D], L2-normalised."""
        texts = list(texts)
        # Texts of similar length together: one long text does not pad a batch of short ones.
        order = np.argsort([len(text) for text in texts], kind="stable")
        ordered = batches([texts[row] for row in order], batch_size)
        encoded = self._joined([self._text_features(batch)["pooled"] for batch in ordered])
        embedded = np.empty_like(encoded)
        embedded[order] = encoded
        return embedded

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
        batch_size: int = 32,
    ) -> NDArray[np.float32]:
        """Embed composed queries: these images, modified as these texts say.

        A blank text asks for no change: its query is the image's own embedding.

        Args:
            images: N reference images, paths or PIL images.
            texts: N modification texts.
            balance: As for ``TMCIR.compose``.
            batch_size: Queries composed at once.

        Returns:
            float32 [N, D], L2-normalised; rank a gallery by its dot products.

        Raises:
            TMCIRError: The counts differ, or ``balance`` is out of range.
            ImageError: An image is missing, broken or too large.
        """
        shift = checked_balance(checked_queries(images, texts, balance))
        rows = batches(list(range(len(texts))), batch_size)
        return self._joined(
            [
                self._fused(
                    self._image_features(self.read_pixels([images[row] for row in batch])),
                    self._text_features([texts[row] for row in batch]),
                    shift[batch],
                )["query"]
                for batch in rows
            ]
        )

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Explain a query: its similarity to both embeddings, the gate, the merged patches.

        Raises:
            TMCIRError: The text is blank.
            ImageError: The image is missing, broken or too large.
        """
        check_explained(text)
        read = read_image(image, self.image_size)
        image_features = self._image_features(self.read_pixels([read]))
        text_features = self._text_features([text])
        output = self._fused(image_features, text_features, np.zeros(1))
        (query,), grid = output["query"], self._manifest.grid
        without = output.get("without_tokens")
        explanation = Explanation(
            gate=_pair(output["gate"][0]) if "gate" in output else None,
            words=self._tokenizer.words(text),
            grid=grid or (1, 1),
            fit=self._preprocessor.fit,
            region=self._preprocessor.region(*read.size),
            token_effect=token_effect(query, None if without is None else without[0]),
            similarity=_pair(
                np.concatenate([image_features["pooled"], text_features["pooled"]]) @ query
            ),
        )
        if "assignment" not in output or grid is None:
            return explanation
        return with_merge(explanation, _merged(output))

    def unread(self, text: str) -> str:
        """Return the end of a text that is too long to be read; "" where all of it is read."""
        return self._tokenizer.unread(text)

    def read_pixels(self, images: Sequence[ImageSource]) -> NDArray[np.uint8]:
        """Read images as the tower sees them, before normalisation, uint8 [N, 3, S, S].

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        return read_pixels(images, self._preprocessor)

    def _image_features(self, pixels: NDArray[np.uint8]) -> Arrays:
        return self._graphs.run("image", {"pixels": pixels})

    def _text_features(self, texts: Sequence[str]) -> Arrays:
        ids, lengths = self._tokenizer.encode(texts)
        return self._graphs.run("text", {"ids": ids, "lengths": lengths})

    def _fused(self, image: Arrays, text: Arrays, shift: NDArray[np.float64]) -> Arrays:
        inputs = {f"image_{name}": value for name, value in image.items()}
        inputs |= {f"text_{name}": value for name, value in text.items()}
        return self._graphs.run("fusion", {**inputs, "shift": shift.astype(np.float32)})

    def _joined(self, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return concatenated(parts, self.embedding_size)


def _pair(values: NDArray[np.float32]) -> tuple[float, float]:
    first, second = values.tolist()
    return first, second


def _merged(output: Arrays) -> Merged:
    """Return the merge map of the first sample."""
    return Merged(
        assignment=output["assignment"][0],
        weights=output["weights"][0],
        alpha=output["alpha"][0],
        matched_share=float(output["matched_share"][0]),
        threshold=float(output["threshold"][0]),
    )
