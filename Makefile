# Every target works alone from a fresh clone: it makes .venv, installs, and pulls the two models.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= retrieval chunking answers pdf_tables pdf_speed ocr startup install_size embedding engine \
	ingest search hostile crash options metrics rewriting post injection planning \
	serve_chats serve_searches serve_uploads serve_kills serve_soak
export LLAR_HOME ?= $(CURDIR)/.llar
export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE  # what every command imports is compiled once
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo models test check bench docs clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 10

# The pip of Debian 12 takes twice the time of the latest to find out what fits together.
$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.installed
	$(PIP) install -e '.[dev]'
	@touch $@

models: $(VENV)/.installed  ## pull the two default models into .llar
	@$(BIN)/llar models pull smollm2-135m-instruct all-minilm-l6-v2

demo: models  ## index the sample documents and ask three questions
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh samples/demo.sh

test: $(VENV)/.dev models  ## run all tests
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev models  ## all that CI checks: format, lint, types, layers, docs, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python docs/generate.py --check
	@echo "mypy, beside the tests"; $(BIN)/mypy & types=$$!; \
		$(BIN)/python -m pytest -n 2; tests=$$?; wait $$types && exit $$tests

bench: $(VENV)/.dev models  ## measure, some hours; BENCH="search ingest" chooses scripts of bench/
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python bench/$$name.py || exit 1; done

docs: $(VENV)/.dev  ## write the generated pages: docs/cli.md, docs/settings.md
	$(BIN)/python docs/generate.py

clean:  ## remove the environment, models and caches
	rm -rf $(VENV) .llar .mypy_cache .pytest_cache .ruff_cache
