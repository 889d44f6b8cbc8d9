# Every target makes .venv itself, and installs again only when pyproject.toml, the build
# hook or the sources of the core changed. PYTHON chooses the Python that .venv is made of.
PYTHON ?= python3

.DELETE_ON_ERROR:
.PHONY: core demo test coverage test-cluster test-clients test-slow sanitize lint bench gpu-check soak bench-hosted soak-hosted docs lowest wheels clean

PIP := -m pip --quiet --disable-pip-version-check
# The extras that a target needs, by a stamp each: `.venv/.has-dev` says that `.[dev]` is in.
INSTALLED := .venv/.has
WHEEL_TOOLS := 'auditwheel>=6' 'hatchling>=1.27' 'macholib>=1.16' 'pefile>=2023' 'pip>=23' 'ziglang>=0.13'
TEST_TOOLS := hypothesis pytest pytest-randomly pytest-socket pytest-timeout scipy
GPU_TOOLS := 'nvidia-cuda-nvrtc<14' 'nvidia-cuda-runtime<14' 'nvidia-cuda-sanitizer-api<14' 'onnxruntime-gpu[cuda,cudnn]'
BUILD := pyproject.toml hatch_build.py build_core.py $(wildcard src/greenroom/core/*.[ch])

demo: $(INSTALLED)-demo
	.venv/bin/greenroom demo --out demo

# The core alone, after a change of its sources.
core: | .venv/bin/python
	.venv/bin/python build_core.py

test: $(INSTALLED)-dev
	.venv/bin/python -m pytest -n 2 -m "not slow"

# The same, a fifth slower, with a list of the lines that no test reaches.
coverage: $(INSTALLED)-dev
	.venv/bin/python -m pytest -n 2 -m "not slow" --cov --cov-report=term-missing:skip-covered

# Those that need Ray, which is not in dev: it wants a newer FastAPI than `make lowest` has.
test-cluster: $(INSTALLED)-dev $(INSTALLED)-cluster
	.venv/bin/python -m pytest -m "not slow" tests/cluster tests/archives/cluster tests/hosted/cluster

# Those with clients in JavaScript, which need Node.js.
test-clients: $(INSTALLED)-dev tests/hosted/clients/node_modules
	.venv/bin/python -m pytest tests/hosted/test_werift.py

test-slow: $(INSTALLED)-dev $(INSTALLED)-cluster
	.venv/bin/python -m pytest -m slow

# The fuzzer and the tests of the core, on a build that watches its memory.
sanitize: $(INSTALLED)-dev
	.venv/bin/python tests/core/sanitize.py

lint: $(INSTALLED)-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: $(INSTALLED)-dev
	.venv/bin/python benchmarks/run.py

# On a machine with a GPU of NVIDIA's: the kernels and the engine there, against the processor's. An
# environment of its own, as ONNX Runtime for the GPU takes the place of that for the processor.
GPU_MODEL ?= selfie
GPU_MATTING_MODEL ?= rvm-mobilenetv3
gpu-check: .venv-gpu/.has
	.venv-gpu/bin/python scripts/gpu_check.py --model $(GPU_MODEL) --matting-model $(GPU_MATTING_MODEL)

# Half an hour of live use: memory, threads and frame times have to stay flat.
soak: $(INSTALLED)-dev
	.venv/bin/python benchmarks/live_use.py --soak

bench-hosted: $(INSTALLED)-dev
	.venv/bin/python benchmarks/hosted_limit.py

# The hosted service with clients that come and go: nothing may be left of them.
SOAK_MINUTES ?= 60
soak-hosted: $(INSTALLED)-dev
	.venv/bin/python benchmarks/hosted_soak.py --minutes $(SOAK_MINUTES)

docs: $(INSTALLED)-docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

# The tests with the oldest versions that pyproject.toml allows.
lowest: .venv-lowest/.has-dev
	.venv-lowest/bin/python -m pytest -m "not slow"

# Wheels for every kind of machine, in dist/.
wheels: .venv-wheels/.has
	.venv-wheels/bin/python build_wheels.py

tests/hosted/clients/node_modules: tests/hosted/clients/package.json
	npm install --prefix tests/hosted/clients
	@touch $@

clean:
	rm -rf .venv .venv-lowest .venv-wheels .venv-gpu benchmarks/.venv-* build demo dist site htmlcov .coverage .coverage.*
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache src/greenroom/segmenters/embedded
	rm -rf src/greenroom/core/core_* tests/hosted/clients/node_modules __pycache__
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python .venv-gpu/bin/python .venv-lowest/bin/python .venv-wheels/bin/python:
	$(PYTHON) -m venv $(@:/bin/python=)

$(INSTALLED)-%: $(BUILD) | .venv/bin/python
	.venv/bin/python $(PIP) install --editable '.[$*]'
	@touch $@

.venv-lowest/.has-dev: $(BUILD) tests/lowest.txt | .venv-lowest/bin/python
	.venv-lowest/bin/python $(PIP) install --constraint tests/lowest.txt --editable '.[dev]'
	@touch $@

.venv-gpu/.has: $(BUILD) | .venv-gpu/bin/python
	.venv-gpu/bin/python $(PIP) install --editable '.[cuda,demo,hosted]' $(TEST_TOOLS) $(GPU_TOOLS)
	@touch $@

.venv-wheels/.has: build_core.py Makefile | .venv-wheels/bin/python
	.venv-wheels/bin/python $(PIP) install $(WHEEL_TOOLS)
	@touch $@
