"""`python -m tests.prove`: run the proof on servers of its own and print what the books say.

Exits 1 when they disagree. Everything lives in a temporary folder and ends with this process; the
seed decides which faults strike when and what is asked for. docs/proofs.md says how to read it.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import django

from tests.prove.faults import schedule
from tests.prove.stores import Stores
from tests.services import ENVIRONMENT


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="farebox-prove-"))
    stores = Stores(folder)
    os.environ.update(ENVIRONMENT, FAREBOX_VAR_DIR=str(folder), DJANGO_SETTINGS_MODULE="config.settings")
    try:
        os.environ.update(stores.start())
        django.setup()
        logging.getLogger("httpx").setLevel(logging.WARNING)
        # What follows imports models, which need the settings of these servers.
        stage = import_module("tests.prove.stage")
        report, is_proved = stage.prove(
            stores,
            folder,
            requests=arguments.requests,
            seed=arguments.seed,
            faults=schedule(seed=arguments.seed, requests=arguments.requests, count=arguments.faults),
        )
    finally:
        stores.stop()
        if arguments.keep:
            print(f"kept: {folder}", file=sys.stderr)  # noqa: T201
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(report)  # noqa: T201
    return 0 if is_proved else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000, help="requests to send (50000)")
    parser.add_argument("--seed", type=int, default=1, help="decides faults and requests (1)")
    parser.add_argument("--faults", type=int, default=0, help="faults (0: one in 1000 requests, at least 8)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
