"""What the kernel says of a process, and of those below it."""

import os

from bench import processes
from bench.processes import Stat, parse_stat

LINE = (
    "4242 (a (strange) name) S 4200 4242 4242 0 -1 4194304 900 80 0 0 "
    "150 50 20 5 20 0 3 0 12345 9999999 2048 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"
)


def test_a_name_with_blanks_and_brackets_shifts_nothing():
    assert parse_stat(LINE) == Stat(parent=4200, ticks=225, resident_pages=2048)


def test_this_process_has_used_processor_time_and_memory():
    assert processes.cpu_seconds(os.getpid()) > 0
    assert processes.rss_bytes(os.getpid()) > 1_000_000


def test_a_process_that_is_gone_has_neither():
    assert processes.cpu_seconds(2**30) == 0
    assert processes.rss_bytes(2**30) == 0
