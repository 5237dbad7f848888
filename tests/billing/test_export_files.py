"""Providers' exports: what each shape says, and every wrong one refused with its file, line and field."""

import json
from datetime import date
from decimal import Decimal

import pytest

from billing.reconciliation.formats import read_export
from billing.reconciliation.shapes import ExportLine, ExportRefused

DAY, NEXT = date(2026, 11, 24), date(2026, 11, 25)
START, END = 1_795_478_400, 1_795_564_800  # 2026-11-24, 2026-11-25


def read(text, name="export"):
    return read_export(text.encode() if isinstance(text, str) else text, file_name=name)


def refusal(text, name="export"):
    with pytest.raises(ExportRefused) as refused:
        read(text, name)
    return str(refused.value)


def said(export):
    """The lines without their places."""
    names = [name for name in ExportLine.__slots__ if name != "where"]
    return [
        {name: getattr(line, name) for name in names if getattr(line, name) is not None}
        for line in export.lines
    ]


def test_a_csv_with_our_columns():
    export = read(
        "day,model,item,cost_usd,currency,requests,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens\r\n"
        "2026-11-24,gpt-5.4,,1.25,USD,3,100,20,0,50\r\n"
        "2026-11-25,gpt-5.4,,0.5,usd,1,10,0,0,5\r\n"
    )

    assert export.source == "csv"
    assert export.days == {DAY, NEXT}
    assert said(export)[0] == {
        "day": DAY,
        "model": "gpt-5.4",
        "item": "",
        "amount_usd": Decimal("1.250000000000"),
        "requests": 3,
        "input_tokens": 100,
        "cached_input_tokens": 20,
        "cache_write_tokens": 0,
        "output_tokens": 50,
    }
    assert export.lines[1].where == "export, line 3"


def test_a_csv_with_the_headers_of_consoles_and_columns_that_say_nothing_to_us():
    export = read(
        "\ufeffUsage Date (UTC),Model Version,Workspace,Token Type,Cost (USD)\n"
        "2026-11-24T00:00:00Z,claude-sonnet-4-6,main,output,$2.10\n"
    )

    assert said(export) == [
        {"day": DAY, "model": "claude-sonnet-4-6", "item": "output", "amount_usd": Decimal("2.10")}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "export: the file is empty."),
        (
            "day,cost_usd\n2026-11-24,1\n",
            "export, line 1: a column 'model' is missing; headers: day, cost_usd.",
        ),
        ("model,cost\nx,1\n", "export, line 1: a column 'day' is missing; headers: model, cost."),
        (
            "day,model\n2026-11-24,x\n",
            "export, line 1: there must be a column 'cost_usd' or columns of tokens.",
        ),
        ("day,model,cost,amount\n", "export, line 1: two columns are a 'amount_usd'; keep one."),
        ("day,model,cost\n", "export: there is no row below the headers."),
        ("day,model,cost\n2026-11-24,x\n", "export, line 2: must have 3 cells as the headers do, got 2."),
        (
            "day,model,cost\n24.11.2026,x,1\n",
            "export, line 2: day must be like 2026-11-26, got '24.11.2026'.",
        ),
        (
            "day,model,cost\n2026-11-31,x,1\n",
            "export, line 2: day must be like 2026-11-26, got '2026-11-31'.",
        ),
        (
            "day,model,cost\n2026-11-24T00:00:00+02:00,x,1\n",
            "export, line 2: day must be a whole UTC day, got '2026-11-24T00:00:00+02:00'.",
        ),
        (
            "day,model,cost\n2026-11-24T01:00:00Z,x,1\n",
            "export, line 2: day must be a whole UTC day, got '2026-11-24T01:00:00Z'.",
        ),
        (
            "day,model,cost\n2026-11-24,x,1\n2026-11-24,y,-0.01\n",
            "export, line 3: cost_usd must be an amount from 0 to 100,000,000 US dollars, got -0.01.",
        ),
        ("day,model,cost\n2026-11-24,x,NaN\n", "export, line 2: cost_usd must be an amount from 0 to"),
        ("day,model,cost\n2026-11-24,x,1e30\n", "export, line 2: cost_usd must be an amount from 0 to"),
        (
            "day,model,cost\n2026-11-24,x,ten\n",
            "export, line 2: cost_usd must be a number like 12.34, got 'ten'.",
        ),
        ("day,model,cost\n2026-11-24,x,\n", "export, line 2: cost_usd must be a number like 12.34, got ''."),
        ("day,model,cost,currency\n2026-11-24,x,1,EUR\n", "export, line 2: currency must be USD, got 'EUR'."),
        (
            "day,model,input tokens\n2026-11-24,x,-3\n",
            "export, line 2: input_tokens must be a whole number from 0, got '-3'.",
        ),
        (
            "day,model,input tokens\n2026-11-24,x,1.5\n",
            "export, line 2: input_tokens must be a whole number from 0, got '1.5'.",
        ),
        (
            "day,model,cost\n2026-11-24,x,1\n2026-11-25,x,1\n2026-11-24,x,2\n",
            "export, line 4: x on 2026-11-24 stands at export, line 2 already; days must not overlap.",
        ),
        (
            'day,model,cost\n2026-11-24,"x,1\n',
            "export, line 2: not readable as CSV (unexpected end of data).",
        ),
        (b"day,model,cost\n2026-11-24,\xff,1\n", "export: must be UTF-8; byte 26 is not."),
        ("day,model,cost\n2026-11-24,x\x00y,1\n", "export, line 2: model must be printable"),
        (
            f"day,model,cost\n2026-11-24,{'x' * 257},1\n",
            "export, line 2: model must be printable and at most 256",
        ),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line_and_field(text, message):
    assert refusal(text).startswith(message)


def openai_page(*results, start=START, end=END, **page):
    bucket = {"object": "bucket", "start_time": start, "end_time": end, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None} | page


def openai_cost(value=0.06, currency="usd", line_item="gpt-5.4-2026-03-05, input", project_id=None):
    return {
        "object": "organization.costs.result",
        "amount": {"value": value, "currency": currency},
        "line_item": line_item,
        "project_id": project_id,
    }


def openai_usage(**changes):
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": 5,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": "gpt-5.4-2026-03-05",
        "batch": None,
    } | changes


def test_openais_costs_are_dollars_by_model_and_line_summed_over_projects():
    page = openai_page(
        openai_cost(0.06, project_id="a"),
        openai_cost(0.04, project_id="b"),
        openai_cost(0.30000000000000004, line_item="gpt-5.4-2026-03-05, output"),
        openai_cost(1, line_item="assistants api | file search"),
    )

    export = read(json.dumps(page), "costs.json")

    assert export.source == "openai costs"
    assert said(export) == [
        {"day": DAY, "model": "gpt-5.4-2026-03-05", "item": "input", "amount_usd": Decimal("0.100000000000")},
        {
            "day": DAY,
            "model": "gpt-5.4-2026-03-05",
            "item": "output",
            "amount_usd": Decimal("0.300000000000"),
        },
        {"day": DAY, "model": "", "item": "assistants api | file search", "amount_usd": Decimal(1)},
    ]
    assert export.lines[2].where == "costs.json, data[0].results[3]"


def test_openais_usage_counts_cached_tokens_once():
    page = openai_page(openai_usage(), openai_usage(input_tokens=7, input_cached_tokens=0, batch=True))

    export = read(json.dumps([page]), "usage.json")

    assert said(export) == [
        {
            "day": DAY,
            "model": "gpt-5.4-2026-03-05",
            "item": "",
            "requests": 10,
            "input_tokens": 207,
            "cached_input_tokens": 800,
            "cache_write_tokens": 0,
            "output_tokens": 1000,
        }
    ]


def anthropic_page(*results, start="2026-11-24T00:00:00Z", end="2026-11-25T00:00:00Z"):
    bucket = {"starting_at": start, "ending_at": end, "results": list(results)}
    return {"data": [bucket], "has_more": False, "next_page": None}


def anthropic_cost(**changes):
    return {
        "amount": "123.45",
        "currency": "USD",
        "cost_type": "tokens",
        "context_window": "0-200k",
        "description": "Claude Sonnet 4.6 Usage - Input Tokens",
        "model": "claude-sonnet-4-6",
        "service_tier": "standard",
        "token_type": "uncached_input_tokens",
        "workspace_id": None,
    } | changes


def test_anthropics_amounts_are_cents():
    page = anthropic_page(
        anthropic_cost(),
        anthropic_cost(workspace_id="wrkspc_1", amount="0.55"),
        anthropic_cost(model=None, token_type=None, description="Web Search Usage", amount="1000"),
    )

    export = read(json.dumps(page))

    assert export.source == "anthropic costs"
    assert [(line.model, line.item, line.amount_usd) for line in export.lines] == [
        ("claude-sonnet-4-6", "uncached_input_tokens 0-200k standard", Decimal("1.24")),
        ("", "Web Search Usage", Decimal(10)),
    ]


def test_anthropics_usage_counts_every_kind_of_token():
    usage = {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000},
        "cache_read_input_tokens": 200,
        "output_tokens": 400,
        "server_tool_use": {"web_search_requests": 10},
        "model": "claude-sonnet-4-6",
    }

    export = read(json.dumps(anthropic_page(usage, usage)))

    (line,) = export.lines
    assert export.source == "anthropic usage"
    assert (line.input_tokens, line.cached_input_tokens, line.cache_write_tokens) == (3000, 400, 3000)
    assert (line.output_tokens, line.requests) == (800, None)


def test_a_day_without_results_is_a_day_of_nothing():
    pages = [openai_page(), openai_page(openai_cost(), start=END, end=END + 86_400)]

    export = read(json.dumps(pages))

    assert export.days == {DAY, NEXT}
    assert [line.day for line in export.lines] == [NEXT]


COST = openai_cost
RESULT = "e.json, data[0].results[0]"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"data": []}, "e.json: data is empty: the report has no day."),
        (openai_page(), "e.json: no day has a result, so that it cannot be told what it reports."),
        ({}, "e.json: data must be a list of objects, got null."),
        ({"data": [{"begins": 1, "results": [{}]}]}, "e.json: neither a report of OpenAI's"),
        (
            openai_page(COST(), has_more=True),
            "e.json: has_more is true on the last page: the rest is missing.",
        ),
        (
            openai_page(COST(value=-1)),
            f"{RESULT}.amount: value must be an amount from 0 to 100,000,000 US dollars, got -1.",
        ),
        (openai_page(COST(value="ten")), f'{RESULT}.amount: value must be an amount, got "ten".'),
        (openai_page(COST(value=None)), f"{RESULT}.amount: value must be an amount, got null."),
        (openai_page(COST(value=True)), f"{RESULT}.amount: value must be an amount, got true."),
        (openai_page(COST(currency="eur")), f"{RESULT}.amount: currency must be USD, got 'eur'."),
        (
            openai_page(COST(line_item=None)),
            f"{RESULT}: line_item must be the line's name: ask for group_by=line_item, got null.",
        ),
        (
            openai_page(openai_usage(model=None)),
            f"{RESULT}: model must be the model's name: ask for group_by=model, got null.",
        ),
        (
            openai_page(openai_usage(input_tokens=-1)),
            f"{RESULT}: input_tokens must be a whole number from 0, got -1.",
        ),
        (
            openai_page(openai_usage(input_cached_tokens=1001)),
            f"{RESULT}: input_cached_tokens must be at most input_tokens, 1000, got 1001.",
        ),
        (openai_page(COST(), openai_usage()), "e.json: results must be all costs or all completions, got"),
        (
            openai_page(COST(), end=END + 1),
            "e.json, data[0]: start_time must be the start of a UTC day that end_time ends (bucket_width=1d)",
        ),
        (
            openai_page(COST(), start=START + 60, end=END + 60),
            "e.json, data[0]: start_time must be the start of a UTC day",
        ),
        (openai_page(COST(), start=10**30), "e.json, data[0]: start_time must be a moment, got 1000"),
        (
            [openai_page(COST()), openai_page(COST())],
            "e.json, [1].data[0]: 2026-11-24 stands at e.json, [0].data[0] already; days overlap.",
        ),
        (anthropic_page(anthropic_cost(amount="-1")), f"{RESULT}: amount must be an amount from"),
        (
            anthropic_page(anthropic_cost(currency="EUR")),
            f"{RESULT}: currency must be USD, got 'EUR'.",
        ),
        (
            anthropic_page(anthropic_cost(description=None)),
            f"{RESULT}: description must be the line's name: ask for group_by[]=description",
        ),
        (
            anthropic_page(anthropic_cost(), start="2026-11-24T00:00:00"),
            "e.json, data[0]: starting_at must be a moment with its zone",
        ),
    ],
)  # fmt: skip
def test_a_wrong_report_is_refused_with_its_place_and_field(page, message):
    assert refusal(json.dumps(page), "e.json").startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(openai_page(openai_cost()))[:-40], "e.json, line 1, column"),
        ('{\n  "data": [,]\n}', "e.json, line 2, column 12: not whole JSON"),
        ('{"data": NaN}', "e.json: not readable as JSON (NaN is no JSON)."),
        ("[" * 100_000, "e.json: not readable as JSON"),
        ("[]", "e.json: must be a page of the report, or a list of its pages."),
        ("[1]", "e.json: must be a page of the report, or a list of its pages."),
    ],
)
def test_what_is_no_whole_json_is_refused(text, message):
    assert refusal(text, "e.json").startswith(message)
