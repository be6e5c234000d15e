"""What commands import before they work: a person waits for it each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

# Of a command: every module that it imports beside Python's own, by the name of its package.
START = {"typer", "annotated_doc", "shellingham", "tmcir"}
CHECKED = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
LISTING = """
import sys
before = set(sys.modules)
sys.argv = ["tmcir", *sys.argv[1:]]
from tmcir.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
own = {name.partition(".")[0] for name in set(sys.modules) - before}
public = {name for name in own if not name.startswith("_")}
print("MODULES", *sorted(public - set(sys.stdlib_module_names)))
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], START),
        (["search", "--help"], START | CHECKED),
        (["train", "--help"], START | CHECKED),
        (["models"], START | CHECKED),
        (["recipes"], START | CHECKED | {"yaml"}),
        (["recipes", "mini"], START | CHECKED | {"yaml"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_light_command_imports(arguments: list[str], expected: set[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LISTING, *arguments], capture_output=True, text=True, check=True
    )
    imported = found.stdout.splitlines()[-1].split()
    assert imported[0] == "MODULES"
    # Compiled packages register helpers of their own, such as cython_runtime.
    assert {name for name in imported[1:] if "cython" not in name} <= expected


# What lancedb and pyarrow bring along is theirs to choose, pandas where it is installed among it.
HEAVY = {
    *("torch", "transformers", "huggingface_hub", "safetensors", "onnx", "onnxscript", "sympy"),
    *("accelerate", "peft", "diffusers", "datasets", "sentence_transformers", "lance_namespace"),
    *("lance_namespace_urllib3_client", "rich", "jinja2", "matplotlib", "scipy", "sklearn"),
    *("openvino", "resvg_py", "tensorboard", "pymilvus", "fastapi", "uvicorn", "torchvision"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of `mini`, made by the command; and what indexing imports."""
    root = tmp_path_factory.mktemp("shop")
    (root / "photos").mkdir()
    for colour in ("red", "blue", "white"):
        Image.new("RGB", (64, 80), colour).save(root / "photos" / f"{colour}.png")
    imported = imports_of("index", str(root / "shop"), str(root / "photos"), "--model", "mini")
    (root / "index.txt").write_text(" ".join(imported))
    return root


def imports_of(*arguments: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", LISTING, *arguments], capture_output=True, text=True, check=True
    )
    return set(found.stdout.splitlines()[-1].split()[1:])


@pytest.mark.slow
def test_searching_imports_nothing_heavy(shop: Path) -> None:
    query = ("--image", str(shop / "photos" / "red.png"), "--text", "in blue")
    imported = imports_of("search", str(shop / "shop"), *query)
    assert {"onnxruntime", "tokenizers", "lancedb", "pyarrow"} <= imported
    assert not imported & HEAVY


@pytest.mark.slow
def test_indexing_explaining_and_serving_import_no_torch(shop: Path) -> None:
    assert not set((shop / "index.txt").read_text().split()) & {"torch", "transformers"}
    image = str(shop / "photos" / "red.png")
    assert not imports_of("explain", "mini", "--image", image, "--text", "in blue") & HEAVY
    script = (
        "import sys, tmcir.service.server, tmcir.service; from tmcir.cli.gallery import"
        f" open_gallery; open_gallery({str(shop / 'shop')!r}, None, False);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


@pytest.mark.slow
def test_searching_and_measuring_work_without_the_extra_for_training() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('accelerate', 'peft', 'diffusers',"
        " 'tensorboard', 'torchvision', 'pandas', 'matplotlib', 'scipy')));"
        "import tmcir.cli, tmcir.models, tmcir.gallery.page, tmcir.evaluation.scoring;"
        "print([name for name in sys.modules if name.startswith('tmcir.training')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


@pytest.mark.slow
def test_commands_work_without_torch_or_say_what_brings_it(shop: Path) -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'safetensors',"
        " 'huggingface_hub'))); from tmcir.cli import main; main()"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    found = run("search", str(shop / "shop"), "--text", "in blue", "-k", "2")
    assert found.returncode == 0 and len(found.stdout.splitlines()) == 2
    assert "torch is not installed" in run("doctor").stdout
    found = run("search", str(shop / "shop"), "--text", "in blue", "--runtime", "torch")
    assert found.returncode == 2 and "torch is not installed: `" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_importing_the_package_loads_no_model_library() -> None:
    script = "import sys, tmcir; print('torch' in sys.modules, 'transformers' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False False\n"
