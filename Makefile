# Everything a fresh machine with Python 3.11 needs is set up by the targets themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What the word lists of .ci are checked over.
PROSE := src tests docs measurements examples README.md CONTRIBUTING.md CHANGELOG.md
# Any warning is an error: a broken link, a name that left the API.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

.PHONY: quickstart test test-fast check check-lowest check-newest format docs site constraints clean

quickstart: $(READY)  ## Everything, small: draw, edit, train, measure, index, search
	$(BIN)/tmcir quickstart

test: $(READY)  ## Run the tests
	$(BIN)/python -m pytest -n auto --durations=15

test-fast: $(READY)  ## Run the tests that are quick, in a minute and a half on two cores
	$(BIN)/python -m pytest -n auto -m "not slow"

check: $(READY)  ## Format, lint, types, spelling, docs, the page's scripts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/codespell --dictionary .ci/words.txt $(PROSE)
	! git grep -nwE -f .ci/phrases.txt -- $(PROSE)
	$(BIN)/python docs/generate.py --check
	$(MKDOCS) build --strict --quiet
	.ci/check-page

check-lowest:  ## The quick tests with the lowest versions that pyproject.toml allows
	.ci/check-versions lowest $(PYTHON)

check-newest:  ## The quick tests with the newest versions; PYTHON=python3.13 for another Python
	.ci/check-versions newest $(PYTHON)

format: $(READY)  ## Apply the formatter and the safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## Write the generated pages
	$(BIN)/python docs/generate.py

site: docs  ## Build the documentation into site/; open site/index.html
	$(MKDOCS) build --strict --quiet

constraints: $(READY)  ## Lock the versions that are installed now
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > constraints.txt

clean:
	rm -rf site $(VENV) .venv-milvus .venv-lowest .venv-newest .pytest_cache .mypy_cache .ruff_cache .hypothesis

# torch first and by its exact version: any other request could pull in a build that is several
# gigabytes larger than the machine can use.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@
