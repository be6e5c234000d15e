"""The model: CLIP's towers and a composition method, saved and loaded as one directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer, CLIPConfig, CLIPModel
from transformers.utils import cached_file

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import read_json, staged_directory, write_text
from tmcir.core.images import read_image
from tmcir.models.card import TEMPLATE
from tmcir.models.composer import Composition, MergeMap
from tmcir.models.encoder import Encoder, create_clip
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.methods import DEFAULT, build_composer
from tmcir.models.preprocessing import ImagePreprocessor, read_squares

ImageSource = str | Path | Image.Image
FORMAT = "tmcir-2"
FIRST_FORMAT = "tmcir-1"
FORMATS = (FORMAT, FIRST_FORMAT)
WEIGHTS = "model.safetensors"
_FILES = ["*.json", WEIGHTS, "README.md", "*.txt"]
_DOWNLOAD_OPTIONS = ("revision", "cache_dir", "force_download", "token", "local_files_only")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The model's account of one query; a method that has no such part leaves it None.

    Attributes:
        gate: (g_v, g_t), weights of the pooled image and text embedding, on average over the
            channels; they sum to 2.
        words: The pieces of the text, in order.
        grid: Rows and columns of the patch grid.
        fit: Which square of the image the grid lies on, as in ``ImagePreprocessor``.
        matched_share: Share of the patches that words absorbed, in [0, 1].
        merged: For every word the patches that it absorbed, as (row, column, w_ij) in the patch
            grid, heaviest first.
        image_share: For every word alpha_j, the share of the image in its merged token.
        threshold: theta, the cosine from which a patch is absorbed.
        region: The part of the image that the grid lies on, (left, top, right, bottom) as shares
            of its width and height; beyond [0, 1] where the image was padded.
    """

    gate: tuple[float, float] | None
    words: list[str]
    grid: tuple[int, int]
    fit: Literal["crop", "pad"] = "crop"
    matched_share: float | None = None
    merged: list[list[tuple[int, int, float]]] | None = None
    image_share: list[float] | None = None
    threshold: float | None = None
    region: tuple[float, float, float, float] | None = None


class TMCIR(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="tmcir",
    tags=["composed-image-retrieval"],
    model_card_template=TEMPLATE,
):
    """Composed image retrieval: one embedding space for images, texts and composed queries.

    Args:
        encoder: CLIP's towers.
        fusion_settings: The method's keyword arguments; {} gives its defaults.
        name: What reports call the model.
        method: How queries are composed, one of ``tmcir.models.methods``: adaptive token fusion,
            or what it is compared with.

    Raises:
        TMCIRError: There is no such method, or it has no such settings.
    """

    def __init__(
        self,
        encoder: Encoder,
        fusion_settings: dict[str, Any] | None = None,
        name: str = "tmcir",
        method: str = DEFAULT,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.method = method
        self.fusion_settings = dict(fusion_settings or {})
        self.fusion = build_composer(method, encoder, self.fusion_settings)
        self.name = name
        self.card: str | None = None
        # What a directory of the first format calls them: its identity must stay what it was.
        self._first_settings: dict[str, Any] | None = None
        #: Whether ``save_pretrained`` writes matrices in float16; what is loaded is float32 again.
        self.half_precision_files = False

    # What the model is

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.encoder.clip.logit_scale.device
        return device

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
        """Hexadecimal hash of all that embeddings depend on: equal hashes, equal embeddings.

        Neither the model's name nor the version of a library is in it, so that a gallery outlives
        a renamed folder and an upgrade.
        """
        towers = self.encoder.clip.config
        shapes = [
            [tower.hidden_act, tower.num_attention_heads, tower.layer_norm_eps]
            for tower in (towers.vision_config, towers.text_config)
        ]
        settings = [shapes, self._first_settings or self.fusion_settings]
        settings.append(self.encoder.preprocessor.to_dict())
        if self.method != DEFAULT:  # galleries that are older than other methods stay valid
            settings.append(self.method)
        digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
        for key, value in sorted(self.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    # What people call

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
        batches = _batches(list(images), batch_size)
        return self._stack(self.image_features(batch).pooled for batch in batches)

    def encode_texts(self, texts: Iterable[str], batch_size: int = 256) -> Tensor:
        """Embed texts: float32 [N, D] on the CPU, L2-normalised."""
        batches = _batches(list(texts), batch_size)
        return self._stack(self.text_features(batch).pooled for batch in batches)

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
        if isinstance(texts, str) or isinstance(images, str | Path | Image.Image):
            raise TMCIRError("compose takes a list of images and a list of texts")
        if len(images) != len(texts):
            raise TMCIRError(f"compose got {len(images)} images and {len(texts)} texts")
        balances = [balance] * len(texts) if isinstance(balance, int | float) else list(balance)
        if len(balances) != len(texts):
            raise TMCIRError(f"compose got {len(texts)} texts and {len(balances)} balances")
        queries = _batches(list(zip(images, texts, balances, strict=True)), batch_size)
        return self._stack(
            self.fuse(
                self.image_features([image for image, _, _ in batch]),
                self.text_features([text for _, text, _ in batch]),
                [weight for _, _, weight in batch],
            )
            for batch in queries
        )

    def explain(self, image: ImageSource, text: str) -> Explanation:
        """Say how a query came about: the gate, and which patches merged into which word.

        Raises:
            TMCIRError: The text is blank.
            ImageError: The image is missing, broken or too large.
        """
        if not text.strip():
            raise TMCIRError("there is nothing to explain without a text")
        image = read_image(image, self.image_size)
        with self._inference():
            output = self.forward(self.image_features([image]), self.text_features([text]))
        side = round(self.encoder.patches**0.5)
        words = self.encoder.words(text)
        gate = None
        if output.gate is not None:
            gate = (float(output.gate[0, 0]), float(output.gate[0, 1]))
        preprocessor = self.encoder.preprocessor
        region = preprocessor.region(*image.size)
        told = Explanation(gate, words, (side, side), preprocessor.fit, region=region)
        return told if output.merge is None else _with_merge(told, output.merge)

    # What the other rooms call

    def preprocess(self, images: Sequence[ImageSource]) -> Tensor:
        """Read images into normalised pixel values, float32 [N, 3, S, S] on the CPU.

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        squares = self.squares(images)
        return self.encoder.preprocessor.normalise(squares)

    def squares(self, images: Sequence[ImageSource]) -> Tensor:
        """Read images as the tower sees them, before normalisation, uint8 [N, 3, S, S].

        Raises:
            ImageError: An image is missing, broken or too large.
        """
        return read_squares(images, self.encoder.preprocessor)

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
        shift = torch.as_tensor(balance, dtype=torch.float64)
        if not bool((shift.abs() <= 1).all()):  # so that NaN is refused as well
            raise TMCIRError(f"balance is {balance}, but must lie between -1 (image) and 1 (text)")
        with self._inference():
            query = self.forward(image, text).query
            query = query.where(text.mask.any(dim=1, keepdim=True), image.pooled)
            shift = shift.expand(len(query)).unsqueeze(1)  # [N, 1]
            end = image.pooled.where((shift < 0).to(self.device), text.pooled)  # [N, D]
            kept, moved = (1 - shift.abs()).to(query), shift.abs().to(query)
            return functional.normalize(kept * query + moved * end, dim=-1)

    def forward(self, image: ImageFeatures, text: TextFeatures) -> Composition:
        """Compose queries from features of both towers, with gradients."""
        output: Composition = self.fusion(image, text, self.encoder)
        return output

    # Saving and loading

    @classmethod
    def from_clip(cls, source: str | Path, **fusion_settings: Any) -> TMCIR:
        """Put an untrained fusion on a CLIP checkpoint: queries are the normalised sum.

        Args:
            source: Folder or Hugging Face id of a transformers CLIP model.
            fusion_settings: Keyword arguments of ``AdaptiveTokenFusion``.

        Raises:
            TMCIRError: There is no such checkpoint, or weights are missing from it.
        """
        try:
            clip, report = CLIPModel.from_pretrained(
                source, use_safetensors=True, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(source)
            settings = cached_file(
                source, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
            )
        except OSError as error:
            raise TMCIRError(f"{source}: {first_line(error)}") from None
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:3])
            raise TMCIRError(f"{source}: the checkpoint lacks weights: {missing}, ...")
        preprocessor = ImagePreprocessor.from_dict(
            read_json(Path(settings)) if settings else {}, clip.config.vision_config.image_size
        )
        return cls(Encoder(clip, tokenizer, preprocessor), fusion_settings, str(source)).eval()

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "clip": self.encoder.clip.config.to_dict(),
            "method": self.method,
            "fusion": self.fusion_settings,
        }

    def _save_pretrained(self, save_directory: Path) -> None:
        with staged_directory(save_directory) as folder:
            self.encoder.tokenizer.save_pretrained(folder)
            for name, content in (
                ("config.json", self._config()),
                ("preprocessor_config.json", self.encoder.preprocessor.to_dict()),
            ):
                write_text(folder / name, json.dumps(content, indent=2) + "\n")
            if self.card is not None:
                write_text(folder / "README.md", self.card)
            weights = {key: self._stored(value) for key, value in self.state_dict().items()}
            save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    def _stored(self, weight: Tensor) -> Tensor:
        # Vectors and numbers (norms, temperature, running statistics) are small: they stay exact.
        halved = self.half_precision_files and weight.ndim > 1 and weight.is_floating_point()
        return (weight.half() if halved else weight).contiguous()

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> TMCIR:
        folder = Path(model_id)
        if not folder.is_dir():
            download = {name: options[name] for name in _DOWNLOAD_OPTIONS if name in options}
            folder = Path(snapshot_download(model_id, allow_patterns=_FILES, **download))
        config = read_json(folder / "config.json")
        if config.get("format") not in FORMATS:
            raise TMCIRError(f"{folder / 'config.json'}: not a TMCIR model ({FORMAT})")
        first_settings = None
        try:
            if config["format"] == FIRST_FORMAT:
                first_settings, config = config["fusion"], _from_first_format(config)
            model = cls._build(folder, config, model_id)
        except TMCIRError:
            raise
        except Exception as error:  # whatever the libraries say of a damaged file, in one line
            reason = first_line(error)
            raise TMCIRError(f"{folder}: not a usable model directory: {reason}") from None
        model.load_weights(folder / WEIGHTS)
        model._first_settings = first_settings
        card = folder / "README.md"
        model.card = card.read_text(encoding="utf-8") if card.is_file() else None
        return model.eval()

    @classmethod
    def _build(cls, folder: Path, config: dict[str, Any], name: str) -> TMCIR:
        """Build the architecture that a model directory describes, weights still random."""
        clip = create_clip(CLIPConfig(**config["clip"]))
        preprocessor = ImagePreprocessor.from_dict(
            read_json(folder / "preprocessor_config.json"), clip.config.vision_config.image_size
        )
        encoder = Encoder(clip, AutoTokenizer.from_pretrained(folder), preprocessor)
        # Models that are older than other methods do not name theirs.
        return cls(encoder, config["fusion"], name, config.get("method", DEFAULT))

    def load_weights(self, path: Path) -> None:
        """Load every weight from a safetensors file.

        Raises:
            TMCIRError: The file is missing, broken, or of another architecture.
        """
        try:
            self.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = first_line(error)
            raise TMCIRError(f"{path}: cannot load the weights: {reason}") from None

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


def _with_merge(told: Explanation, merge: MergeMap) -> Explanation:
    """Add the first sample's merge map to what is told of it."""
    merged: list[list[tuple[int, int, float]]] = [[] for _ in told.words]
    for patch, word in enumerate(merge.assignment[0].tolist()):
        if word >= 0:
            weight = float(merge.weights[0, patch, word])
            merged[word].append((*divmod(patch, told.grid[1]), weight))
    for patches in merged:
        patches.sort(key=lambda patch: -patch[2])
    return replace(
        told,
        matched_share=float(merge.matched_share[0]),
        merged=merged,
        image_share=merge.alpha[0, : len(told.words)].tolist(),
        threshold=float(merge.threshold[0]),
    )


def _from_first_format(config: dict[str, Any]) -> dict[str, Any]:
    """Say in today's settings what a model of the first format is."""
    fusion, method = config["fusion"], config.get("method", DEFAULT)
    if method == DEFAULT:
        gate = "scalar" if fusion.get("gate", True) else "none"
        fusion = {**fusion, "gate": gate, "pooled_norm": False}
    return {**config, "format": FORMAT, "fusion": fusion}


def _batches(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
