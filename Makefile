# Two commands do all the set-up: `make run` (the main job on the embedded default) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where the environment forbids it, each of the processes that tests start compiles all modules anew.
export PYTHONDONTWRITEBYTECODE :=
STAMP := $(VENV)/.installed

.PHONY: run test coverage check docs format pythons oldest wheel-test engines-test bench clean

run: $(STAMP)
	$(BIN)/eecompile run examples/digits_resnet.onnx --target diana --data digits --out runs/digits

test: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile

# The same with a floor for what is covered: takes half as long again.
coverage: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages as a site in build/docs; a broken link or anchor, or a page that no list of pages names, is an error.
docs: $(STAMP)
	$(BIN)/sphinx-build -c docs -b html -W --keep-going -j 2 -q . build/docs

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The core, without torch, on every newer Python there is; with the oldest dependencies; as users install it.
pythons:
	$(PYTHON) -m tools.ci.pythons

oldest:
	$(PYTHON) -m tools.ci.oldest

wheel-test: $(STAMP)
	$(BIN)/pytest -m wheel

# Exports answered by MLServer and by Ray Serve, each installed anew: minutes, and a gigabyte.
engines-test: $(STAMP)
	$(BIN)/pytest -m engines tests/eecompile/server/engines

bench: $(STAMP)
	$(BIN)/python -m tools.bench

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,images,solver,search,frames,plot,serve,grpc,dev]'
	touch $@

clean:
	rm -rf $(VENV) .venvs runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
