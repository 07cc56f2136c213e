# Two commands set everything up: `make demo` and `make test`.
# Anything below needs only Python 3.11, 3.12 or 3.13, make, and a package registry.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.8
LEARN := .venv-learn
TORCH_VERSION := 2.13.0

# Python keeps what it compiles, also where it is told not to: tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# A file's tests run in one process, so that what they share is made once; files with slow tests begin.
PYTEST := $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder --durations=10

.PHONY: help env kernels demo test test-fast test-long test-learn learn-demo mixing-demo test-portable test-wheel docs release-check lint format lock clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(STAMP)  ## set up .venv with the locked dependencies

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "simspine needs Python 3.11, 3.12 or 3.13; none was found. Install one, or call make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(STAMP)

demo: env  ## four real videos in, vertebral kinematics out
	@$(BIN)/simspine demo --cores $(CORES)

# Before the workers start, so that each kernel is compiled once: for this processor, and for any (tests/kernels.py),
# which reference results are computed with.
$(VENV)/.kernels: $(STAMP) $(shell grep -rl "^@njit" pipeline/simspine)
	@$(BIN)/python tests/kernels.py Sandybridge -m simspine warmup & any=$$!; $(BIN)/simspine warmup && wait $$any
	@touch $@

# One thread of BLAS in each worker: more than there are processors wait for each other, and waiting costs as much again.
test test-fast test-long test-learn test-portable: export OPENBLAS_NUM_THREADS ?= 1

kernels: $(VENV)/.kernels  ## compile the kernels for this processor

test: kernels  ## all tests but the longest
	$(PYTEST) -m "not long"

test-long: kernels  ## the longest: benchmarks, killed runs, many workers, a dense quadrature
	$(PYTEST) -m long

test-fast: kernels  ## tests without the slow ones
	$(PYTEST) -m "not slow"

# A processor is stood for by kernels of BLAS, NumPy and Numba (tests/kernels.py). Slow tests run once, with those of
# most processors (AVX2); the fast ones run with each, and one of the slow ones compares the results of all three.
# Kernels that this processor cannot run are skipped with a line.
test-portable: env  ## tests as on other processors: AVX2, AVX-512, neither
	$(BIN)/python tests/kernels.py Haswell -m pytest -n $(CORES) --dist loadfile
	$(BIN)/python tests/kernels.py SkylakeX -m pytest -n $(CORES) --dist loadfile -m "not slow"
	$(BIN)/python tests/kernels.py Sandybridge -m pytest -n $(CORES) --dist loadfile -m "not slow"

test-learn: $(LEARN)/.installed  ## tests of networks, in an environment of their own that has PyTorch
	$(LEARN)/bin/python -m pytest -n $(CORES) --dist loadfile -m learn tests/learning

SPINE := results/spine_detector
learn-demo: $(LEARN)/.installed  ## the spine detector: render, train, export, judge on real images
	$(LEARN)/bin/python -m tools.spine_detector.samples --out $(SPINE)/samples --people 90 --each 60 --seed 1
	$(LEARN)/bin/python -m tools.spine_detector.train --samples $(SPINE)/samples --out $(SPINE)/network --seed 1
	$(LEARN)/bin/python benchmarks/spine_on_real_images.py --weights $(SPINE)/network/spine.onnx

MIXING := results/spine_mixing
RENDER := $(BIN)/simspine capture render -q --size 144x192 --out $(MIXING)
mixing-demo: $(LEARN)/.installed  ## two training sets, mixed per batch and per epoch: table and figure, on rendered people
	$(RENDER)/free --images 300 --people 16 --seed 11
	$(RENDER)/fixed --images 300 --people 4 --fixed-cameras 4 --seed 12
	$(RENDER)/free-test --images 60 --people 8 --seed 9011
	$(RENDER)/fixed-test --images 60 --people 4 --fixed-cameras 4 --seed 9012
	$(LEARN)/bin/python benchmarks/spine_ablation.py configs/training/mixing.yaml --what mixing --out $(MIXING)/networks

# PyTorch beside all that .venv has, which this environment reads and does not copy.
$(LEARN)/.installed: $(STAMP) Makefile
	@test -x $(LEARN)/bin/python || $(BIN)/python -m venv $(LEARN)
	@$(BIN)/python -c 'import site; print("import site; site.addsitedir(%r)" % site.getsitepackages()[0])' \
		> "$$($(LEARN)/bin/python -c 'import site; print(site.getsitepackages()[0])')/simspine-env.pth"
	$(BIN)/uv pip install --quiet --python $(LEARN)/bin/python torch==$(TORCH_VERSION)
	@touch $@

test-wheel: env  ## the wheel in empty environments, each Python there is, with pip and uv
	$(BIN)/python tests/try_wheel.py

docs: env  ## the documentation as a site, docs/_build/index.html
	$(BIN)/simspine demo
	$(BIN)/python -m sphinx -c docs -b html --fail-on-warning --keep-going --quiet . docs/_build

release-check: env  ## what a release needs, made and checked in dist/ (docs/releasing.md)
	PYTHONPATH=. $(BIN)/python -m tools.release.check dist $(RELEASE_OPTIONS)

lint: env  ## style of code, workflow and pages, types, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports --no-cache
	PYTHONPATH=. $(BIN)/python -m tools.prose
	$(BIN)/mypy

format: env  ## rewrite code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile

lock: env  ## renew requirements.lock and environment.yml from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --universal \
		--generate-hashes --no-annotate --no-header --quiet -o requirements.lock
	$(BIN)/python .ci/environment.py

clean:  ## remove environment and results
	rm -rf $(VENV) $(LEARN) .snakemake results
