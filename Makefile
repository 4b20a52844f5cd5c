# `make up` and `make test` need Python 3.11 or 3.12 and nothing else; everything they install lives in .venv.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
READY := .venv/ready

.PHONY: up test check bench soak lint types lock clean
up: $(READY)
	$(BIN)/tidemill up

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not soak"

check: test lint types

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks

soak: $(READY)
	$(BIN)/python -m pytest -m soak -x --timeout 7200 -s

lock: $(READY)
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --universal --python-version 3.11 -o requirements.lock

clean:
	rm -rf .venv build *.egg-info

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Tidemill needs Python 3.11 or 3.12 on the PATH (or: make PYTHON=/path/to/python3.12)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module: on Debian run 'apt-get install python3-venv'"; exit 1; }
	@echo "Setting up .venv (once, a few minutes on a slow line)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Checking this machine, and compiling what is fast for it"
	@$(BIN)/tidemill doctor || echo "see the lines that say fail"
	@touch $(READY)
