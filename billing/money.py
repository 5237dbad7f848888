"""US dollars as exact numbers: integers of nano-dollars in motion, Decimal at rest.

No float passes through here. Prices and their arithmetic are in `billing.pricing`.
"""

from decimal import Context, Decimal, Inexact

NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1_000
PICO_PER_USD = NANO_PER_USD * PICO_PER_NANO

ZERO_USD = Decimal(0)
SMALLEST_USD = Decimal("0.000000001")

_EXACT = Context(prec=60, traps=[Inexact])


def nano_to_usd(amount_nano: int) -> Decimal:
    """The amount in dollars with nine decimals, exact."""
    return _EXACT.scaleb(Decimal(amount_nano), -9)


def usd_to_nano(amount_usd: Decimal) -> int:
    """The amount in nano-dollars. Raises ValueError when it is finer than a nano-dollar or not finite."""
    if not amount_usd.is_finite():
        raise ValueError(f"an amount of money must be finite, got {amount_usd}")
    amount_nano = _EXACT.scaleb(amount_usd, 9)
    whole_nano = int(amount_nano)
    if amount_nano != whole_nano:
        raise ValueError(f"an amount of money has at most nine decimals, got {amount_usd}")
    return whole_nano


def pico_to_nano(amount_pico: int) -> int:
    """Round to the nano-dollar, half to even: the one rounding of a request."""
    nano, rest = divmod(amount_pico, PICO_PER_NANO)
    return nano if rest * 2 < PICO_PER_NANO else divide_half_even(amount_pico, PICO_PER_NANO)


def divide_half_even(amount: int, divisor: int) -> int:
    """The nearest integer to the quotient; of two equally near ones the even one."""
    quotient, remainder = divmod(amount, divisor)
    is_up = remainder * 2 > divisor or (remainder * 2 == divisor and quotient % 2 == 1)
    return quotient + 1 if is_up else quotient


def pico_to_text(amount_pico: int) -> str:
    """The amount in dollars as a plain decimal string, exact to the pico-dollar; zero is `0`."""
    if not amount_pico:
        return "0"
    whole, rest = divmod(abs(amount_pico), PICO_PER_USD)
    return f"{'-' if amount_pico < 0 else ''}{whole}.{rest:012d}"


def plain_usd(amount_usd: Decimal) -> str:
    """The exact amount as people type it: no sign of the currency, no exponent, no zeros at its end."""
    return format(amount_usd.normalize(), "f")


def format_usd(amount_usd: Decimal) -> str:
    """The exact amount for people: at least two decimals, no trailing zeros after them, `-$1.20`."""
    sign = "-" if amount_usd < 0 else ""
    whole, _, decimals = format(abs(amount_usd), "f").partition(".")
    return f"{sign}${int(whole):,}.{decimals.rstrip('0').ljust(2, '0')}"


def format_usd_short(amount_usd: Decimal) -> str:
    """What matters of the amount: `$0.00042`, `$12.40`, `$18.3k`. The exact one is `format_usd`."""
    size = abs(amount_usd)
    sign = "-" if amount_usd < 0 else ""
    for floor, letter in ((Decimal(1_000_000), "M"), (Decimal(10_000), "k")):
        if size >= floor:
            unit = Decimal(1_000_000 if letter == "M" else 1_000)
            return f"{sign}${(size / unit).quantize(Decimal('0.1'))}{letter}"
    if size >= 1 or size == 0:
        return f"{sign}${size.quantize(Decimal('0.01')):,}"
    two_digits = Decimal(1).scaleb(size.adjusted() - 1)
    return sign + format_usd(size.quantize(max(two_digits, SMALLEST_USD)))
