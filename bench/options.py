"""What `make bench ARGS="…"` can be told."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

CONTESTANTS = ("direct", "farebox", "litellm", "portkey", "nginx")
MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Options:
    """`only` and `cases` are empty when all are meant."""

    rounds: int = 3
    seconds: float = 5.0
    limit_seconds: float = 3600.0
    base_port: int = 18_100
    only: tuple[str, ...] = CONTESTANTS
    cases: tuple[str, ...] = ()
    is_quick: bool = False
    is_published: bool = False
    is_profiled: bool = False


FULL = Options()
QUICK = Options(rounds=1, seconds=2.0, limit_seconds=120.0, only=("direct", "farebox"), is_quick=True)


def read_options(arguments: Sequence[str]) -> Options:
    """The options of this command line; ends the program with one line for a wrong one."""
    parser = _parser()
    given = parser.parse_args(arguments)
    options = QUICK if given.quick else FULL
    named = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "limit_seconds": given.limit_seconds,
        "base_port": given.base_port,
        "only": _names(given.only),
        "cases": _names(given.cases),
    }
    options = replace(options, **{name: value for name, value in named.items() if value is not None})
    unknown = set(options.only) - set(CONTESTANTS)
    if unknown or not options.only:
        parser.error(f"--only takes {', '.join(CONTESTANTS)}; got {', '.join(sorted(unknown)) or 'nothing'}")
    if not 1 <= options.rounds <= MAX_ROUNDS or options.seconds < 1 or options.limit_seconds <= 0:
        parser.error(f"--rounds takes 1 to {MAX_ROUNDS}, --seconds at least 1, --limit-seconds more than 0")
    if not 1024 <= options.base_port <= 65_000:
        parser.error(f"--base-port must be between 1024 and 65000, got {options.base_port}")
    if given.profile and given.publish:
        parser.error("--profile slows the gateway down, so its figures are not published")
    only = ("farebox",) if given.profile else options.only
    return replace(options, only=only, is_published=given.publish, is_profiled=given.profile)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="about a minute: one round, fewer cases, no peers")
    add("--rounds", type=int, help=f"how often each case runs (default {FULL.rounds})")
    add("--seconds", type=float, help=f"how long one measurement takes (default {FULL.seconds:g})")
    add("--only", help=f"contestants, by commas, of {', '.join(CONTESTANTS)}")
    add("--cases", help="cases, by commas: whole names (plain-32) or their beginnings (plain,stream)")
    add("--base-port", type=int, help=f"first of ten ports in a row (default {FULL.base_port})")
    add("--limit-seconds", type=float, help="no measurement begins later than this")
    add(
        "--profile", action="store_true", help="Farebox alone; where its time goes is in var/bench/profile.md"
    )
    add("--publish", action="store_true", help="also write docs/benchmarks-run.md and its plot")
    return parser


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())
