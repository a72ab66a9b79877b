# Commands for developers. Make exports variables set on the command line (make run SHOPPERS=0 PORT=8080)
# to the programs.

PYTHON ?= python3
ARGS ?=
BENCH ?= $(basename $(notdir $(wildcard benchmarks/*.py)))

SHELL := /bin/sh
BIN := .venv/bin
# Run on SQLite even if the shell exports DATABASE_URL.
ON_SQLITE := env -u DATABASE_URL
MANAGE := $(ON_SQLITE) DEBUG=True $(BIN)/python app/manage.py
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

LOCK_FILES := requirements.txt requirements-dev.txt benchmarks/peers/requirements.txt \
	benchmarks/peers/otel/requirements.txt tools/audit/requirements.txt tools/mutants/requirements.txt
SBOM ?= vitrine.cdx.json

# One process more than there are CPUs, since many tests wait for programs; the tests of a file run in
# one process, to share fixtures. The slowest files (tests/conftest.py) come first, not those with the
# most tests.
PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(len(os.sched_getaffinity(0)) + 1)' 2>/dev/null || echo auto)
PYTEST := $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

# Neither chosen tests nor one database say anything about the coverage of all. The floor is in
# pyproject.toml.
COVERAGE := $(if $(ARGS),,--cov --cov-report= --cov-fail-under=0)

ISSUE_FORMS := $(addprefix .github/ISSUE_TEMPLATE/,bug_report.yml feature_request.yml)

# These tests do not depend on the database, so they run once, on SQLite.
WITHOUT_DATABASE := $(addprefix tests/,alerts benchmarks blind browser config contracts gateway_simulator grafana tools \
	test_conftest_left_out.py returns/test_amounts.py returns/test_buyer_pages.py returns/test_desk_refunds.py \
	returns/test_desk_returns.py returns/test_emails.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run backup restore restore-test test quick test-blind test-faults stack-test lint types check bench mutants \
	audit-deps sbom lock format docs generate

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: .venv/.runtime ## run the shop on SQLite; options: SHOPPERS=0, PORT=8080, GATEWAY_PORT=…
	@exec $(BIN)/python tools/run.py

backup: ## back up the database: of the containers, if they run, or of `make run` (docs/backups.md)
	@tools/backup.sh backup

restore: ## restore FILE=…; REPLACE=yes: although there are orders in the database
	@tools/backup.sh restore "$(FILE)" $(if $(filter yes,$(REPLACE)),--replace)

restore-test: ## restore the last backup into a new database, audit and delete it; measures RTO
	@tools/backup.sh restore-test $(if $(FILE),"$(FILE)")

test: .venv/.dev ## run all tests on SQLite and on PostgreSQL; ARGS="-k cart" selects tests
	@tools/system_tools.sh
	@# Exit status 5: no tests. ARGS may select none on one database, but not on both.
	$(ON_SQLITE) $(PYTEST) $(COVERAGE) -m "not postgres" $(ARGS); sqlite=$$?; \
	case $$sqlite in 0|5) ;; *) exit $$sqlite;; esac; \
	$(BIN)/python tools/with_postgres.py --no-fsync $(PYTEST) $(if $(COVERAGE),$(COVERAGE) --cov-append) \
		$(WITHOUT_DATABASE:%=--ignore=%) $(ARGS); postgres=$$?; \
	if [ $$postgres -eq 5 ]; then exit $$sqlite; fi; exit $$postgres
	$(if $(COVERAGE),$(BIN)/coverage report)

quick: .venv/.dev ## run the unit tests on SQLite in a minute, without browser or PostgreSQL
	$(ON_SQLITE) $(PYTEST) --hypothesis-profile quick -m "not slow" $(ARGS)

test-faults: .venv/.dev ## kill web, worker and PostgreSQL at every step of a checkout or refund; print matrices
	FAULTS=all $(ON_SQLITE) $(BIN)/pytest tests/faults $(ARGS)

test-blind: .venv/.dev ## stage faults in front of the real monitoring; print what reports each
	@tools/system_tools.sh
	BLIND=all $(ON_SQLITE) $(BIN)/pytest tests/blind $(ARGS)

stack-test: .venv/.dev ## test the containers end to end (needs Docker), then all of test-blind
	$(BIN)/python tests/stack/stack_test.py $(ARGS)
	@$(MAKE) --no-print-directory test-blind ARGS=

lint: .venv/.dev ## check style, formatting, import rules and missing migrations
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYTHONPATH=app $(BIN)/lint-imports
	$(MANAGE) makemigrations --check --dry-run
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(ISSUE_FORMS)

types: .venv/.dev
	$(BIN)/mypy
	$(MANAGE) check

check: lint types ## lint, check types, and run Django's checks

bench: .venv/.dev ## run the benchmarks; BENCH=checkout selects one, ARGS=--quick shortens them
	@set -e; for name in $(BENCH); do \
		echo "benchmarks/$$name.py"; $(BIN)/python "benchmarks/$$name.py" $(ARGS); done

mutants: .venv-mutants/.installed ## run mutation tests; ARGS="app/payments" selects code
	$(ON_SQLITE) nice -n 19 .venv-mutants/bin/python tools/mutants/run.py $(ARGS)

audit-deps: .venv-audit/.installed ## ask PyPI for known vulnerabilities of all locked packages
	.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes $(addprefix -r ,$(LOCK_FILES))

sbom: .venv-audit/.installed ## write the shop's packages to SBOM=vitrine.cdx.json (CycloneDX)
	.venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o $(SBOM) requirements.txt

lock: .venv/.dev ## write requirements*.txt with hashes from requirements*.in
	@set -e; for file in $(LOCK_FILES); do $(LOCK) "$${file%.txt}.in" --output-file "$$file"; done

format: .venv/.dev ## format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.dev ## generate the lists of metrics and quality scenarios
	$(MANAGE) document_metrics
	$(MANAGE) document_scenarios

generate: .venv/.dev ## generate alert rules and dashboards
	PYTHONPATH=app $(BIN)/python -m alerts.build
	@if [ -f grafana/build.py ]; then PYTHONPATH=app $(BIN)/python -m grafana.build; fi

# --- Virtual environments, updated only when their requirements change ------------------------------
define install
	@test -x $(@D)/bin/pip || $(PYTHON) -c \
		'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Vitrine needs Python 3.11 or newer with venv: install it (Debian, Ubuntu: apt install" \
			"python3-venv) or choose another Python: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(@D)/bin/pip || $(PYTHON) -m venv $(@D)
	@echo "Installing $< into $(@D) (takes a minute the first time)"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
endef

.venv/.runtime: requirements.txt
	$(install)

.venv/.dev: requirements-dev.txt
	$(install)

.venv-mutants/.installed: tools/mutants/requirements.txt
	$(install)

.venv-audit/.installed: tools/audit/requirements.txt
	$(install)
