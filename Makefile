# Everything runs from .venv, which is made on first use and follows the lock files.
# Programs are called as `python -m …`: the scripts beside it break in paths with a space.

# Paths and logs may hold any letter, whatever the terminal's locale says.
export PYTHONUTF8 := 1

PYTHON ?= python3
ARGS ?=

need_python = command -v $(PYTHON) > /dev/null || \
	{ echo "farebox: $(PYTHON) is missing. Install it: apt-get install python3 python3-venv" >&2; exit 1; }
install = $(need_python); $(PYTHON) -I config/bootstrap.py

.PHONY: run test check migrate bench prove mutants test-nightly contract

run:
	@$(install) requirements.lock
	@exec .venv/bin/python -m config.supervisor

test:
	@$(install) requirements-dev.lock
	@exec .venv/bin/python -m pytest $(ARGS)

check:
	@$(install) requirements-dev.lock
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy .
	@.venv/bin/python -c "from importlinter.cli import lint_imports_command as lint; lint()"
	@.venv/bin/python -m pytest -q tests/architecture

# docs/contract.md: each row of the contract, the tests that prove it, and that they passed.
contract:
	@$(install) requirements-dev.lock
	@exec .venv/bin/python -m pytest -q -m contract --contract-page docs/contract.md $(ARGS)

# Farebox beside other gateways; docs/benchmarks.md. About a minute: make bench ARGS=--quick
bench:
	@$(install) requirements-dev.lock
	@exec .venv/bin/python -m bench $(ARGS)

# 50,000 requests under a random fault schedule, then all books laid side by side: docs/proofs.md.
prove:
	@$(install) requirements-dev.lock
	@exec .venv/bin/python -m tests.prove $(ARGS)

# Over 30 seeded bugs in a copy of the project; each must be noticed by its test. A quarter of an hour.
mutants:
	@$(install) requirements-dev.lock
	@exec .venv/bin/python -m tests.mutants $(ARGS)

# What CI tries briefly, for longer: the machine of money, ten races for one budget. Then: make prove.
test-nightly:
	@$(install) requirements-dev.lock
	@PROOF_EXAMPLES=20000 PROOF_STEPS=200 PROOF_SEED=$${PROOF_SEED:-$$(date +%Y%m%d)} \
		PROOF_SEEDS=10 .venv/bin/python -m pytest tests/guarantees/test_g01_budgets_hold.py \
		tests/guarantees/test_g02_no_phantom_refusals.py -s $(ARGS)

# For a PostgreSQL of your own, named by DATABASE_URL; `make run` migrates its own by itself.
migrate:
	@$(install) requirements.lock
	@exec .venv/bin/python manage.py migrate
