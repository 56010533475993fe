# Everything a new machine needs, and the two things to do with it. Debian 12; root, or sudo.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup system image contract demo test lint format lock clean

# What the machines and their images are made with, and how this repository's tests look inside.
PACKAGES := qemu-system-x86 bubblewrap erofs-utils mmdebstrap cpio busybox-static uidmap skopeo \
            umoci python3-venv util-linux
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
            "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

help:
	@echo 'make demo   set everything up, run a real test suite in a microVM, and fix a bug in one'
	@echo 'make test   set everything up and pass the tests'
	@echo 'make lint   the style checks alone'

setup: system .venv/ready

# apt is asked only for what is missing, so that a second run needs neither root nor a network.
system:
	@missing="$$(for p in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || echo "$$p"; done)"; \
	if [ -n "$$missing" ]; then \
	    echo "Installing" $$missing; \
	    $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -q --no-install-recommends $$missing; \
	fi

.venv/ready: requirements.lock pyproject.toml
	@[ -n '$(PYTHON)' ] || { echo 'stockade: Python 3.11 or later is needed'; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

image: setup
	.venv/bin/stockade image build

demo: image
	.venv/bin/python examples/run_a_test_suite.py
	@.venv/bin/python examples/fix_a_bug.py

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# MCP's own conformance suite and inspector, and the Node that they need, by npm where there is one.
contract: setup
	.venv/bin/python tests/contract/mcp/install.py

# What boots machines runs by itself, one test at a time, and beside it all the rest.
test: lint image contract
	@echo '.venv/bin/pytest: with machines, and beside it without'; \
	rest="$$(mktemp)"; trap 'rm -f "$$rest"' EXIT; \
	.venv/bin/pytest -q -m 'not machine' >"$$rest" 2>&1 & without=$$!; \
	.venv/bin/pytest -q -m machine -p no:cacheprovider; with=$$?; \
	wait "$$without"; without=$$?; \
	echo 'Tests without machines:'; cat "$$rest"; \
	exit "$$((with | without))"

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# The versions of all dependencies, with hashes and without the address of an index.
lock: setup
	.venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
	    --group dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
