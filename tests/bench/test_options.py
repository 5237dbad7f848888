"""What the command line may say."""

import pytest

from bench.options import FULL, QUICK, read_options


def test_without_arguments_everything_runs_three_times():
    assert read_options([]) == FULL
    assert (FULL.rounds, FULL.cases) == (3, ())
    assert FULL.only == ("direct", "farebox", "litellm", "portkey", "nginx")


def test_a_quick_run_takes_one_round_without_peers():
    assert read_options(["--quick"]) == QUICK
    assert (QUICK.rounds, QUICK.only) == (1, ("direct", "farebox"))


def test_what_is_named_wins_over_quick():
    options = read_options(
        ["--quick", "--rounds", "2", "--only", "direct, portkey", "--cases", "plain,stream"]
    )

    assert (options.rounds, options.only, options.cases) == (2, ("direct", "portkey"), ("plain", "stream"))


@pytest.mark.parametrize(
    "arguments",
    [["--only", "bifrost"], ["--only", ","], ["--rounds", "0"], ["--seconds", "0.5"], ["--base-port", "80"]],
)
def test_a_wrong_option_ends_with_one_line(arguments, capsys):
    with pytest.raises(SystemExit):
        read_options(arguments)

    assert "error:" in capsys.readouterr().err
