# make figures [TOPICS="residual saturation"] [SCALE=quick|paper] [OUT=out] [FLAGS="--force"]
# make test      [TESTS=tests/jacobians]   all tests, or some
# make test-fast                           the library, the rules and the formats
# make check                               lint, these, planted mistakes, fuzzing in small, packages
# make fuzz                                10,000 calls of public functions, right and wrong
# make faults                            signals, kills, full disks, damage: what happens to a run
# make settings [SETTING=x64]            the library's tests under other settings of JAX
# make precision                           rounding errors of functions, layers and theory
# make stability | benchmark | lint | lock | messages | clean
PYTHON ?= python3
OUT    ?= out
SCALE  ?= paper
TOPICS ?=
TESTS  ?= tests
FLAGS  ?=
python = .venv/bin/python
# QR factorisations of small matrices are slower with threads, and far slower on a busy machine.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: figures test test-fast check fuzz faults settings precision stability benchmark lint lock clean install messages

figures: .venv/installed
	$(python) -m experiments.reproduce --scale=$(SCALE) --out_dir=$(OUT) $(if $(TOPICS),--topics="$(TOPICS)") $(FLAGS)

test: .venv/installed
	$(python) -m pytest -n auto --dist loadfile $(TESTS)

# By folder: what trains nothing, starts no whole run and opens no browser.
FAST = tests/jacobians tests/layers tests/meanfield tests/models tests/probe tests/diagnosis \
  $(wildcard tests/test_*.py) $(wildcard tests/experiments/study/test_*.py)
SLOW = tests/test_readme.py tests/test_install.py tests/experiments/study/test_script.py
test-fast: .venv/installed
	$(python) -m pytest -n auto --dist loadfile $(filter-out $(SLOW),$(FAST))

# What is done in about ten minutes: all but what trains, builds the site or starts whole runs.
check: lint
	$(python) -m pytest -n auto --dist loadfile $(filter-out $(SLOW),$(FAST)) \
	  tests/command tests/fuzz tests/mistakes tests/precision tests/test_install.py

# Writes the site's page on rounding, experiments/writeup/source/api/precision.md.
precision: .venv/installed
	$(python) -m tests.precision

# Writes tests/fuzz/result.md; `make test` makes 150 of the calls.
fuzz: .venv/installed
	$(python) -m tests.fuzz

# Writes tests/faults/result.md.
faults: .venv/installed
	$(python) -m tests.faults

# Writes tests/settings/result.md where no SETTING is given.
settings: .venv/installed
	$(python) -m tests.settings $(if $(SETTING),--setting=$(SETTING))

# The study on other seeds and under other arithmetic; README's table is of what it writes.
stability: .venv/installed
	$(python) -m experiments.stability --out_dir=$(OUT)
	$(python) -m experiments.writeup.readme_table

benchmark: .venv/installed
	$(python) -m experiments.benchmark --out_dir=$(OUT)
	$(python) -m experiments.diagnosis.rates

# Brings the Chinese catalogues up to the English pages; what is new in them is empty and wants a translation.
messages: .venv/installed
	$(python) -c 'from pathlib import Path; from experiments import writeup; writeup.extract_messages(Path("$(OUT)/messages"))'
	rm -rf $(OUT)/messages/api  # the reference is English, as its docstrings are
	$(python) -m sphinx_intl update --pot-dir $(OUT)/messages --locale-dir experiments/writeup/locale --language zh_CN --line-width 130

lint: .venv/installed
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m pyright --pythonpath $(python)

install: .venv/installed

# Without ensurepip, so that a distribution's Python that ships no venv bundle serves too; the outer pip fills the environment.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("jaxnotes needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	rm -rf .venv
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(python) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PYTHON) -m pip --python $(python) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Rewrites the lock with the newest versions, or with UPGRADE= only what pyproject.toml has new; needs `uv`.
UPGRADE ?= --upgrade
lock:
	uv pip compile pyproject.toml --extra diagnose --extra study --extra glove --extra site --extra test --group build \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  $(UPGRADE) --quiet --output-file requirements.lock

clean:
	rm -rf .venv $(OUT) .pytest_cache .ruff_cache .hypothesis
