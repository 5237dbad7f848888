"""The `usage` object of an answer: token counts with all known breakdowns, and what they cost."""

from billing.money import NANO_PER_USD, PICO_PER_USD
from billing.pricing import Cost
from gateway.wire.dialect import Dialect
from gateway.wire.shapes import JsonObject, Reading

FREE = Cost()


def usage_object(reading: Reading, cost: Cost | None, dialect: Dialect) -> JsonObject:
    """Counts and cost. `cost` None: the organization's own credential paid, so the charge is 0.

    The breakdowns are the provider's; ours are laid over them, so that both agree. Amounts are
    the nearest floating-point numbers, as JSON has no others; exact ones are in the ledger.
    """
    tokens = reading.usage
    charged = cost or FREE
    return {
        "prompt_tokens": max(1, tokens.prompt_tokens),
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": max(1, tokens.prompt_tokens) + tokens.completion_tokens,
        "reasoning_tokens": tokens.reasoning,
        "prompt_tokens_details": {
            **reading.prompt_details,
            "cached_tokens": tokens.cached_input,
            "audio_tokens": tokens.audio_input,
        },
        "completion_tokens_details": {
            **reading.completion_details,
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": tokens.audio_output,
        },
        "cost": _cost_object(charged) if dialect.has_cost_object else _total_usd(charged),
        "cost_usd_total": _total_usd(charged),
        "cost_usd_input": _usd(charged.input_pico),
        "cost_usd_output": _usd(charged.output_pico),
        "cost_usd_cached_input": _usd(charged.cached_input_pico),
        "cost_usd_request": _usd(charged.request_pico),
    }


def _cost_object(cost: Cost) -> JsonObject:
    return {
        "input_tokens_cost": _usd(cost.input_pico + cost.cached_input_pico),
        "output_tokens_cost": _usd(cost.output_pico),
        "request_cost": _usd(cost.request_pico),
        "total_cost": _total_usd(cost),
    }


def _total_usd(cost: Cost) -> float:
    """What is booked, which is rounded once to the nano-dollar."""
    return cost.total_nano / NANO_PER_USD


def _usd(amount_pico: int) -> float:
    return amount_pico / PICO_PER_USD
