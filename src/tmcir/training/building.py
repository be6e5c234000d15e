"""The model that a recipe starts from: loaded, or built from scratch or from pretrained parts."""

from __future__ import annotations

from itertools import chain

from peft import LoraConfig, PeftModel, get_peft_model

from tmcir.data.dataset import Dataset
from tmcir.models.encoders.clip import ClipEncoder, build_clip
from tmcir.models.encoders.dual import DualEncoder, DualSource
from tmcir.models.loading import load
from tmcir.models.preprocessing import ImagePreprocessor
from tmcir.models.tmcir import TMCIR
from tmcir.models.tokenizer import train_tokenizer
from tmcir.training.fitting import parameter_groups
from tmcir.training.methods import MethodSettings
from tmcir.training.recipe import LoraSettings, ModelSettings, Recipe, StageSettings

# Number of training images that standardise the features of a dual encoder, about.
_CALIBRATION_IMAGES = 256


def build_model(settings: ModelSettings, dataset: Dataset) -> TMCIR:
    """Build the towers from scratch, or load them, and put the method on them.

    A source keeps its own method unless the recipe names one.

    Args:
        settings: What to build or load.
        dataset: Its texts train a new tokenizer, and its images calibrate new heads.

    Raises:
        TMCIRError: The source cannot be loaded.
    """
    if settings.source is not None:
        model = load(settings.source, device="cpu")
        model.encoder.set_images(settings.image_size, settings.fit)
        if settings.method is None:
            return model
        return TMCIR(model.encoder, settings.method.name, settings.method.settings)
    method = settings.method or MethodSettings()
    if settings.dual is not None:
        return _build_dual(settings.dual, method, dataset)
    assert settings.build is not None
    build = settings.build.model_dump()
    tokenizer = train_tokenizer(
        _texts(dataset), build.pop("vocabulary_size"), build.pop("text_length")
    )
    preprocessor = ImagePreprocessor(size=build["image_size"], fit=build.pop("fit"))
    encoder = ClipEncoder(build_clip(tokenizer, **build), tokenizer, preprocessor)
    return TMCIR(encoder, method.name, method.settings)


def _build_dual(source: DualSource, method: MethodSettings, dataset: Dataset) -> TMCIR:
    """Put new heads on pretrained parts; their features are standardised over training images."""
    encoder = DualEncoder.from_parts(source, _texts(dataset))
    model = TMCIR(encoder, method.name, method.settings).eval()
    names = [name for name in dataset.image_names() if dataset.has_image(name)]
    chosen = names[:: max(1, len(names) // _CALIBRATION_IMAGES)]
    encoder.calibrate(model.preprocess([dataset.image_path(name) for name in chosen]))
    return model


def _texts(dataset: Dataset) -> list[str]:
    captions = chain.from_iterable(texts for _, texts in dataset.captions())
    modifications = chain.from_iterable(
        triplet.training_texts or (triplet.text,) for triplet in dataset.triplets
    )
    return [*captions, *modifications]


def add_adapters(model: TMCIR, lora: LoraSettings | None) -> PeftModel | None:
    """Put low-rank adapters into the towers, in place; everything else there is frozen."""
    if lora is None:
        return None
    targets = model.encoder.lora_targets
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    return get_peft_model(model.encoder.towers, config)


def count_trained(recipe: Recipe, model: TMCIR) -> int:
    """Return the number of weights that the recipe's stages train, each counted once.

    Changes the model: do not use it afterwards.
    """
    stages = [
        (name, settings)
        for name in type(recipe.stages).model_fields
        if isinstance(settings := getattr(recipe.stages, name), StageSettings)
    ]
    trained: set[int] = set()
    count = 0
    for name, settings in stages:
        model.composer.requires_grad_(name != "align")
        add_adapters(model, settings.lora)
        for group in parameter_groups(model, settings):
            for parameter in group["params"]:
                if id(parameter) not in trained:
                    trained.add(id(parameter))
                    count += parameter.numel()
    return count
