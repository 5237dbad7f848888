"""What an invoice looks like: as HTML for the page, and as PDF. From a `Document` alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

from billing.money import format_usd

FONTS = Path(__file__).resolve().parent / "fonts"
SANS = "DejaVu"
MARGIN_MM = 20
TEXT_PT, SMALL_PT, TITLE_PT = 9, 8, 18
LINE_MM = 5
GREY, LINE_GREY = (95, 95, 88), (200, 200, 195)
PAID_TEXT = "Paid from prepaid credit. Nothing is due."
GIVEN_TEXT = "Given back to the prepaid credit."


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One line; `count` is how many ledger entries it sums."""

    text: str
    count: int
    amount_usd: Decimal

    @property
    def amount(self) -> str:
        return format_usd(self.amount_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything that an invoice or a note says."""

    kind: str
    name: str
    corrects: str
    customer: tuple[str, ...]
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    issued_at: datetime
    lines: tuple[DocumentLine, ...]
    total_usd: Decimal
    credit: tuple[tuple[str, Decimal], ...]

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def period(self) -> str:
        """The month's first and last day, on its own clock."""
        zone = ZoneInfo(self.time_zone)
        first, last = self.starts_at.astimezone(zone), (self.ends_at - timedelta(seconds=1)).astimezone(zone)
        return f"{first.day} {first:%B %Y} to {last.day} {last:%B %Y} ({self.time_zone})"

    @property
    def issued(self) -> str:
        at = self.issued_at.astimezone(ZoneInfo(self.time_zone))
        return f"{at.day} {at:%B %Y}"

    @property
    def operator(self) -> tuple[str, ...]:
        console = settings.FAREBOX_CONSOLE
        address = [line.strip() for line in console.operator_address.split("|") if line.strip()]
        tax = [f"Tax id {console.operator_tax_id}"] if console.operator_tax_id else []
        return (console.operator_name, *address, *tax)

    @property
    def total(self) -> str:
        return format_usd(self.total_usd)

    @property
    def credit_lines(self) -> tuple[tuple[str, str], ...]:
        return tuple((text, format_usd(amount_usd)) for text, amount_usd in self.credit)

    @property
    def settled_text(self) -> str:
        return GIVEN_TEXT if self.total_usd < 0 else PAID_TEXT


def render_html(document: Document) -> bytes:
    """The part of a page that shows the document; every value escaped."""
    return render_to_string("billing/invoice_document.html", {"document": document}).encode()


def render_pdf(document: Document) -> bytes:
    """The document on A4. The same document gives the same bytes."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(document.issued_at)
    pdf.set_title(document.title)
    pdf.set_author(settings.FAREBOX_CONSOLE.operator_name)
    pdf.set_lang("en")
    pdf.add_font(SANS, "", FONTS / "DejaVuSans.ttf")
    pdf.add_font(SANS, "B", FONTS / "DejaVuSans-Bold.ttf")
    pdf.set_margin(MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=MARGIN_MM)
    pdf.add_page()
    _put_head(pdf, document)
    _put_lines(pdf, document)
    if document.credit:
        _put_credit(pdf, document)
    return bytes(pdf.output())


def _put_head(pdf: FPDF, document: Document) -> None:
    pdf.set_font(SANS, "B", TITLE_PT)
    pdf.multi_cell(0, 10, document.title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(LINE_MM)
    facts = [("Issued", document.issued), ("Period", document.period)]
    if document.corrects:
        facts.append(("Corrects", document.corrects))
    for label, text in facts:
        _put_fact(pdf, label, text)
    pdf.ln(LINE_MM)
    for label, lines in (("From", document.operator), ("To", document.customer)):
        for place, line in enumerate(lines):
            _put_fact(pdf, "" if place else label, line)
        pdf.ln(LINE_MM)


def _put_fact(pdf: FPDF, label: str, text: str) -> None:
    pdf.set_font(SANS, "", TEXT_PT)
    pdf.set_text_color(*GREY)
    pdf.cell(28, LINE_MM, label)
    pdf.set_text_color(0, 0, 0)
    pdf.multi_cell(0, LINE_MM, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _put_lines(pdf: FPDF, document: Document) -> None:
    rows = [(line.text, f"{line.count:,}", line.amount) for line in document.lines]
    _put_table(
        pdf,
        [("For", "Entries", "US dollars"), *rows, ("Total", "", document.total)],
        widths=(100, 22, 48),
        align=("LEFT", "RIGHT", "RIGHT"),
    )
    pdf.ln(2)
    pdf.set_font(SANS, "", SMALL_PT)
    pdf.multi_cell(0, LINE_MM, document.settled_text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _put_credit(pdf: FPDF, document: Document) -> None:
    pdf.ln(LINE_MM)
    _put_table(
        pdf,
        [("Prepaid credit", "US dollars"), *document.credit_lines],
        widths=(122, 48),
        align=("LEFT", "RIGHT"),
    )


def _put_table(
    pdf: FPDF, rows: list[tuple[str, ...]], *, widths: tuple[int, ...], align: tuple[str, ...]
) -> None:
    pdf.set_font(SANS, "", TEXT_PT)
    pdf.set_draw_color(*LINE_GREY)
    with pdf.table(
        rows[:-1],
        col_widths=widths,
        text_align=align,
        line_height=LINE_MM + 1,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="BOLD"),
    ) as table:
        table.row(rows[-1], style=FontFace(emphasis="BOLD"))
