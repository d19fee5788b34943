# make demo   the station's install, and the whole line on the embedded product
# make test   the whole install, and every test
# make prove  stations that are really damaged, and what held (minutes; needs root for the disks)
# make soak   a million parts with faults all the time; goes on where it was stopped (hours)
PYTHON ?= python3
STATION := .venv-station
FULL := .venv
SOURCES := setup.cfg pyproject.toml constraints.txt $(shell find agent training calibration deploy -name '*.py')

.PHONY: demo test check prove soak demo-bundle clean

demo: $(STATION)/installed
	$(STATION)/bin/normline demo

test: $(FULL)/installed
	$(FULL)/bin/python -m pytest

# Lint, types and the direction of imports.
check: $(FULL)/installed
	$(FULL)/bin/ruff check .
	$(FULL)/bin/mypy
	$(FULL)/bin/lint-imports

prove: $(FULL)/installed
	$(FULL)/bin/python -m tests.prove --json build/prove.json

# What the project promises, at its full numbers.
soak: $(FULL)/installed
	$(FULL)/bin/python -m tests.prove soak:1000000 kills:200 subscribers:100000 latency:10000 \
		intruders:100000 engine:100000 --folder build/soak --json build/soak.json

# Render parts, train, export and calibrate what `normline demo` runs on (about 30 minutes).
demo-bundle: $(FULL)/installed
	$(FULL)/bin/python -m deploy.demo_recipe build/demo

$(STATION)/installed: $(SOURCES) $(wildcard agent/demo/*.nlb agent/demo/*.json)
	$(PYTHON) -m venv $(STATION)
	$(STATION)/bin/pip install --quiet --constraint constraints.txt --force-reinstall --no-deps .
	$(STATION)/bin/pip install --quiet --constraint constraints.txt .
	touch $@

$(FULL)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/pip install --quiet --constraint constraints.txt --editable '.[train,test]'
	touch $@

clean:
	rm -rf $(STATION) $(FULL) build
