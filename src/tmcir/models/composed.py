"""Models that embed an image and a text together, of sentence-transformers.

Qwen3-VL-Embedding, EmbeddingGemma and others: one model reads the query as a whole, so that there
are no towers to put a composer on and nothing to train here. Needs the extra
``sentence-transformers``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.images import read_image
from tmcir.models.balance import balanced
from tmcir.models.encoders.base import stable_settings
from tmcir.models.explained import Explanation
from tmcir.models.queries import ImageSource, check_explained, checked_balance, checked_queries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_IMAGE_SIDE = 448
"""Images are decoded to at least this side; the model resizes them as it needs."""


class ComposedModel:
    """A model for search and evaluation, with the interface of ``TMCIR``.

    A query is ``encode_query`` of an image and a text, a gallery's photo ``encode_document`` of an
    image.

    Args:
        model: A loaded sentence-transformers model that reads images with texts.
        name: What reports call it.

    Raises:
        TMCIRError: The model cannot read an image with a text.
    """

    method = "composed"
    #: Features of an image cannot be composed later: queries need the image itself.
    composes_features = False

    def __init__(self, model: SentenceTransformer, name: str) -> None:
        if not model.supports(("image", "text")):
            raise TMCIRError(
                f"{name}: this sentence-transformers model does not read an image with a text; it"
                f" reads {', '.join(map(str, model.modalities))}"
            )
        self.model = model.eval()
        self.name = name

    @classmethod
    def from_pretrained(cls, source: str, device: str | torch.device) -> ComposedModel:
        """Load a model from a folder or a Hugging Face id; no code of it is run.

        Raises:
            TMCIRError: The extra is not installed, or there is no such model.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError:
            raise TMCIRError(
                f"{source}: is a sentence-transformers model:"
                ' `pip install "tmcir[sentence-transformers]"` installs what it needs'
            ) from None
        try:
            model = SentenceTransformer(
                source,
                device=str(device),
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, ImportError) as error:
            raise TMCIRError(f"{source}: cannot be loaded: {first_line(error)}") from None
        return cls(model, source)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def embedding_size(self) -> int:
        """D, the size of every embedding."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def image_size(self) -> int:
        """Minimum side at which images are decoded, in pixels."""
        return _IMAGE_SIDE

    @property
    def identity(self) -> str:
        """Hexadecimal hash of all that embeddings depend on."""
        settings = [
            stable_settings(module.config) for module in self.model.modules() if _configured(module)
        ]
        prompts = [getattr(self.model, "prompts", None), self.embedding_size]
        content = json.dumps([settings, prompts], sort_keys=True, default=str)
        digest = hashlib.blake2b(content.encode(), digest_size=16)
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def unread(self, text: str) -> str:
        """Return ""; such models read thousands of tokens."""
        return ""

    @property
    def encoder(self) -> NoReturn:
        """Raises an error: such a model cannot be trained here.

        Raises:
            TMCIRError: Always.
        """
        raise TMCIRError(
            f"{self.name}: embeds an image and a text together and has no towers that can be"
            " trained here: train on a CLIP, SigLIP, BLIP-2 or a dual encoder, or train this model"
            " with sentence-transformers itself"
        )

    def encode_images(self, images: Iterable[ImageSource], batch_size: int = 16) -> Tensor:
        """Embed images for a gallery: float32 [N, D] on the CPU, L2-normalised.

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        inputs = [{"image": self._read(image)} for image in images]
        return self._embed(self.model.encode_document, inputs, batch_size)

    def encode_texts(self, texts: Iterable[str], batch_size: int = 64) -> Tensor:
        """Embed texts as queries: float32 [N, D] on the CPU, L2-normalised."""
        # Not as strings: one that looks like an address or a path would be read as an image.
        return self._embed(self.model.encode_query, [{"text": text} for text in texts], batch_size)

    def compose(
        self,
        images: Sequence[ImageSource],
        texts: Sequence[str],
        balance: float | Sequence[float] = 0.0,
        batch_size: int = 16,
    ) -> Tensor:
        """Embed composed queries, as ``TMCIR.compose`` does.

        Raises:
            TMCIRError: The counts differ, or ``balance`` is out of range.
            ImageError: An image is missing, broken or too large.
        """
        balances = checked_queries(images, texts, balance)
        read = [self._read(image) for image in images]
        pairs = [{"image": image, "text": text} for image, text in zip(read, texts, strict=True)]
        query = self._embed(self.model.encode_query, pairs, batch_size)
        shift = torch.as_tensor(checked_balance(balances))
        blank = torch.tensor([not text.strip() for text in texts], dtype=torch.bool)
        if not blank.any() and not shift.any():
            return query
        image, text = self.encode_images(read, batch_size), self.encode_texts(texts)
        return balanced(query.where(~blank[:, None], image), image, text, shift)

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Explain a query by its cosines with the image alone and the text alone.

        Raises:
            TMCIRError: The text is blank.
            ImageError: The image is missing, broken or too large.
        """
        check_explained(text)
        (query,) = self.compose([image], [text])
        alone = torch.cat([self.encode_images([image]), self.encode_texts([text])])
        first, second = (alone @ query).tolist()
        return Explanation(
            gate=None,
            words=text.split(),
            grid=(1, 1),
            fit="stretch",
            region=(0.0, 0.0, 1.0, 1.0),
            similarity=(first, second),
        )

    def _read(self, image: ImageSource) -> Image.Image:
        return read_image(image, minimum_side=_IMAGE_SIDE)

    def _embed(self, encode: Any, inputs: list[dict[str, Any]], batch_size: int) -> Tensor:
        if not inputs:
            return torch.empty(0, self.embedding_size)
        embedded: Tensor = encode(
            inputs, batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return functional.normalize(embedded.float().cpu(), dim=-1)


def _configured(module: Any) -> bool:
    return hasattr(getattr(module, "config", None), "to_diff_dict")
