"""CSV: quoting by RFC 4180, and cells that no spreadsheet takes for a formula."""

import csv
import io

import pytest

from billing.csv_export import csv_text, safe_cell


@pytest.mark.parametrize("cell", ["=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1"])
def test_a_formula_is_opened_as_text(cell):
    assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "fake/echo", "0.000027000", "-1.50", "-7", "a=1", "'quoted'"])
def test_a_plain_cell_stays_as_it_is(cell):
    assert safe_cell(cell) == cell


def test_rows_are_read_back_as_they_were_written():
    rows = [["id", "text"], ["1", 'say "hi", twice'], ["2", "two\nlines"]]

    text = csv_text(rows)

    assert text.startswith("id,text\r\n")
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_every_cell_is_made_safe():
    assert csv_text([("=1", "x")]) == "'=1,x\r\n"
