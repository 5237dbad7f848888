"""The gateway under a sampling profiler: `python -m bench.profiled OUTPUT APPLICATION UVICORN-OPTION…`.

At each tick of the kernel's clock the running function is noted, and all that called it; start-up is
left out. Time in C belongs to the Python function that called it or, below the event loop, to the one
that runs next. Writes Markdown when the process ends.
"""

import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType

import uvicorn.main
from uvicorn.importer import import_from_string

INTERVAL_SECONDS = 0.001
MOST_FUNCTIONS = 50
ROOT = Path(__file__).resolve().parent.parent

STANDARD_LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}"

Place = tuple[str, str]


class Samples:
    """How often each function was running, and how often it or something it called was."""

    def __init__(self) -> None:
        self.own: Counter[Place] = Counter()
        self.below: Counter[Place] = Counter()

    def take(self, _number: int, frame: FrameType | None) -> None:
        if frame is not None:
            self.own[_place(frame.f_code)] += 1
        seen: set[Place] = set()
        while frame is not None:
            place = _place(frame.f_code)
            if place not in seen:
                seen.add(place)
                self.below[place] += 1
            frame = frame.f_back


def render(own: Mapping[Place, int], below: Mapping[Place, int]) -> str:
    """The functions that took most by themselves, and the modules, as shares of all samples."""
    total = sum(own.values()) or 1
    modules: Counter[str] = Counter()
    for (module, _), samples in own.items():
        modules[module] += samples
    functions = sorted(own, key=lambda place: own[place], reverse=True)[:MOST_FUNCTIONS]
    return "\n".join(
        [
            f"# Where the gateway's time went: {total:,} samples",
            "",
            "| Function | by itself | with all it called |",
            "| --- | --: | --: |",
            *(
                f"| `{module}` {function} | {own[module, function] / total:.1%} "
                f"| {below[module, function] / total:.1%} |"
                for module, function in functions
            ),
            "",
            "| Module | by itself |",
            "| --- | --: |",
            *(f"| `{module}` | {samples / total:.1%} |" for module, samples in modules.most_common(30)),
            "",
        ]
    )


def named(samples: Mapping[Place, int]) -> dict[Place, int]:
    """The same samples, with files called by their place in the project or in their library."""
    return {(module_of(path), function): count for (path, function), count in samples.items()}


def module_of(path: str) -> str:
    """A file as the reader knows it."""
    for library in ("/site-packages/", f"/{STANDARD_LIBRARY}/"):
        _, is_inside, name = path.rpartition(library)
        if is_inside:
            return name
    return path.removeprefix(f"{ROOT}/")


def _place(code: CodeType) -> Place:
    # Not the code itself: that of equal functions in two files is equal.
    return code.co_filename, code.co_qualname


def main() -> None:
    output = Path(sys.argv[1])
    samples = Samples()
    # uvicorn raises the signal once more when it has drained; without this that would be the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    import_from_string(sys.argv[2])
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    try:
        uvicorn.main.main(sys.argv[2:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_text(render(named(samples.own), named(samples.below)), encoding="utf-8")


if __name__ == "__main__":
    main()
