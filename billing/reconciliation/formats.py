"""Which kind of export a file is, told by what is in it. Pure."""

from billing.reconciliation import anthropic_report, openai_report
from billing.reconciliation.csv_file import read_csv
from billing.reconciliation.json_pages import Node, read_pages
from billing.reconciliation.shapes import Export, ExportRefused

MAX_FILE_BYTES = 64 * 1024 * 1024


def read_export(content: bytes, *, file_name: str) -> Export:
    """The export in a file: CSV, or the JSON of one of the reports. Raises ExportRefused."""
    if len(content) > MAX_FILE_BYTES:
        raise ExportRefused(f"{file_name}: an export may have {MAX_FILE_BYTES:,} bytes; split it by days.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ExportRefused(f"{file_name}: must be UTF-8; byte {exc.start} is not.") from exc
    if not text.strip():
        raise ExportRefused(f"{file_name}: the file is empty.")
    if text.lstrip("\ufeff \r\n\t")[:1] not in ("{", "["):
        return read_csv(text, file_name=file_name)
    return read_report(read_pages(text, file_name=file_name), file_name=file_name)


def read_report(pages: tuple[Node, ...], *, file_name: str) -> Export:
    """The report in these pages, told by its results. Raises ExportRefused."""
    buckets = [bucket for page in pages for bucket in page.nodes("data")]
    if not buckets:
        raise ExportRefused(f"{file_name}: data is empty: the report has no day.")
    results = [result for bucket in buckets for result in bucket.nodes("results")]
    if not results:
        raise ExportRefused(f"{file_name}: no day has a result, so that it cannot be told what it reports.")
    if "start_time" in buckets[0].values:
        kinds = {result.values.get("object") for result in results}
        if kinds <= {openai_report.COST_OBJECT}:
            return openai_report.read_costs(pages)
        if kinds == {openai_report.USAGE_OBJECT}:
            return openai_report.read_usage(pages)
        raise ExportRefused(
            f"{file_name}: results must be all costs or all completions, got {_words(kinds)}."
        )
    if "starting_at" in buckets[0].values:
        if any("uncached_input_tokens" in result.values for result in results):
            return anthropic_report.read_usage(pages)
        return anthropic_report.read_costs(pages)
    raise ExportRefused(
        f"{file_name}: neither a report of OpenAI's (start_time) nor Anthropic's (starting_at)."
    )


def _words(kinds: set[object]) -> str:
    return ", ".join(sorted(str(kind)[:60] for kind in kinds))
