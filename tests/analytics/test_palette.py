"""The eight chart colours stay apart for every kind of eye, in both themes; text keeps its contrast."""

import itertools
import math
import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).resolve().parents[2] / "static/css/tokens.css").read_text()
PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
PAIRS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS)}
LIGHT, DARK = 0, 1

# Full colour blindness of each kind, on linear RGB: Machado, Oliveira and Fernandes, 2009.
# https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
EYES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "without green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "without blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# Ten is told apart at a glance side by side; bars may stand far from each other.
LEAST_DISTANCE = 20
TEXT_ON = {
    "text": ("page", "surface", "sunken", "hover"),
    "muted": ("page", "surface", "sunken", "hover"),
    "accent": ("page", "surface", "accent-soft"),
    "good": ("surface", "good-soft"),
    "warn": ("surface", "warn-soft"),
    "bad": ("surface", "bad-soft"),
    "on-accent": ("accent", "accent-hover"),
    "on-bad": ("bad",),
}


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_no_two_chart_colours_look_alike(theme: int, eyes: str) -> None:
    seen = {
        number: _lab(_through(EYES[eyes], _linear(PAIRS[f"chart-{number}"][theme]))) for number in range(1, 9)
    }

    nearest = min((math.dist(seen[a], seen[b]), a, b) for a, b in itertools.combinations(seen, 2))

    assert nearest[0] >= LEAST_DISTANCE, nearest


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", TEXT_ON)
def test_text_has_the_contrast_of_wcag_aa(theme: int, name: str) -> None:
    for ground in TEXT_ON[name]:
        assert _contrast(PAIRS[name][theme], PAIRS[ground][theme]) >= 4.5, ground


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_borders_of_controls_have_the_contrast_of_wcag_aa(theme: int) -> None:
    assert _contrast(PAIRS["line-strong"][theme], PAIRS["surface"][theme]) >= 3


def _linear(colour: str) -> tuple[float, ...]:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def _through(eyes: tuple[tuple[float, ...], ...], colour: tuple[float, ...]) -> tuple[float, ...]:
    sums = (sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in eyes)
    return tuple(min(1.0, max(0.0, part)) for part in sums)


def _lab(colour: tuple[float, ...]) -> tuple[float, float, float]:
    """CIE L*a*b* under D65, in which distance is what the eye sees."""
    red, green, blue = colour
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _contrast(one: str, other: str) -> float:
    low, high = sorted(
        0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(_linear, (one, other))
    )
    return (high + 0.05) / (low + 0.05)
