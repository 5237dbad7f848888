"""The settings of everything but the data plane: pages, sign-in, mail, worker, admin, `make run`.

Declared here with default, unit and description; `config.env` fills it from the environment.
The data plane's own are in `gateway.settings`.
"""

from dataclasses import dataclass, field
from typing import Any


def _setting(default: Any, description: str, **rules: Any) -> Any:
    return field(default=default, metadata={"description": description, **rules})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """What the control plane is told at its start. All values are immutable."""

    secret_key: str = field(
        repr=False,
        metadata={"description": "Signs sessions and links, ≥ 50 characters.", "minimum_characters": 50},
    )
    mode: str = _setting(
        "production",
        "`embedded` and `test` allow plain http on this machine.",
        choices=("production", "embedded", "test"),
    )
    public_url: str = _setting("http://127.0.0.1:8000", "Where people and clients reach this house.")
    allowed_hosts: tuple[str, ...] = _setting(
        ("127.0.0.1", "localhost"), "Further host names, beside the public one, that pages answer to."
    )
    key_pepper_id: str = _setting("1", "Names the key pepper in use, so that it can be rotated.")
    simulator_url: str = field(
        default="",
        metadata={
            "description": "Where the simulated provider listens; empty: not offered.",
            "env": "SIMULATOR_URL",
        },
    )

    email_verification: str = _setting(
        "",
        "Whether an e-mail address must be confirmed before signing in; empty: only in production.",
        choices=("", "mandatory", "optional", "none"),
    )
    email_host: str = _setting("", "SMTP server; empty: mail is printed to the console.")
    email_port: int = _setting(587, "SMTP port.", maximum=65_535)
    email_user: str = _setting("", "SMTP user name.")
    email_password: str = field(
        default="", repr=False, metadata={"description": "SMTP password.", "is_secret": True}
    )
    email_is_tls: bool = _setting(True, "Whether SMTP starts TLS.")
    email_from: str = _setting("Farebox <farebox@localhost>", "Sender of all mail.")

    admin_is_served: bool = _setting(False, "Whether `/admin/` exists; always in `embedded` and `test`.")
    signup_is_open: bool = _setting(True, "Whether strangers may create an account.")
    console_pool_connections: int = _setting(10, "PostgreSQL connections of one page or worker process.")
    starting_credit_usd: int = _setting(
        0,
        "Whole dollars that a new organization is given with its first key, once to a person.",
        minimum=0,
        maximum=1000,
    )
    payment_processor: str = _setting(
        "",
        "Who takes payments. `test` pays without money and is refused in production; empty: `none` there,"
        " `test` elsewhere.",
        choices=("", "none", "stripe", "test"),
    )
    stripe_secret_key: str = field(
        default="", repr=False, metadata={"description": "Stripe's secret or restricted API key."}
    )
    stripe_webhook_secret: str = field(
        default="", repr=False, metadata={"description": "Signing secret of Stripe's webhook, `whsec_…`."}
    )
    stripe_api_base: str = _setting("https://api.stripe.com", "Where Stripe's API is.")
    top_up_minimum_usd: int = _setting(5, "Least credit that is bought at once, in whole dollars.")
    top_up_maximum_usd: int = _setting(
        10_000, "Most credit that is bought at once, in whole dollars.", maximum=900_000
    )
    top_up_fee_basis_points: int = _setting(
        0, "Fee on top of bought credit, in hundredths of a percent.", minimum=0, maximum=5_000
    )
    invoice_prefix: str = _setting("FB-", "What invoice numbers start with.")
    invoice_delay_hours: int = _setting(
        6, "Hours after a month's end until its invoice is issued, for late usage.", minimum=0, maximum=240
    )
    operator_name: str = _setting("Farebox", "Who issues the invoices.")
    operator_address: str = _setting("", "Address on invoices; ` | ` between its lines.")
    operator_tax_id: str = _setting("", "Tax id on invoices.")
    unknown_keys_per_address: int = _setting(
        5, "After so many keys that do not exist, an address makes no management call for a while."
    )
    unknown_keys_window_minutes: int = _setting(15, "Time in which they are counted.")
    address_block_seconds: int = _setting(30, "How long its first block lasts; each further one twice that.")
    address_longest_block_seconds: int = _setting(3600, "Longest block of an address.")
    management_requests_per_minute: int = _setting(
        300, "Calls of the management API that one token or person may make in a minute."
    )
    management_page_rows: int = _setting(200, "Most rows on one page of the management API.", maximum=1_000)
    management_body_bytes: int = _setting(
        65_536, "Most bytes of a body that is sent to the management API.", maximum=1_048_576
    )
    session_lifetime_days: int = _setting(7, "After this people sign in again.")
    invitation_lifetime_days: int = _setting(7, "An invitation can be accepted for this long.", maximum=30)
    operator_emails: tuple[str, ...] = _setting(
        (), "Who is mailed when an audit fails or a provider's bill drifts, comma-separated; none: nobody."
    )
    audit_hour_utc: int = _setting(
        3, "Hour of the night (UTC) after which the ledger is audited.", minimum=0, maximum=23
    )
    audit_timeout_seconds: float = _setting(
        3000.0, "An audit that takes longer is given up and reported.", minimum=1, maximum=3500
    )
    reconciliation_drift_percent: float = _setting(
        0.5, "A provider's bill of a day that is further from our cost than this is told to the operator."
    )
    bill_fetch_hours: int = _setting(6, "Hours between two fetches of a provider's bill.", maximum=48)
    reconciliation_days: int = _setting(
        7, "Days back that are fetched and matched again every night.", maximum=31
    )

    webhook_timeout_seconds: float = _setting(
        10.0, "A receiver of alerts that does not answer in this time is tried again.", minimum=1, maximum=30
    )

    usage_retention_days: int = _setting(400, "Usage events are dropped after this; the ledger stays.")
    body_retention_days: int = _setting(30, "Stored prompts and answers are dropped after this.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """What `make run` is told: where it keeps its things and on which ports it listens."""

    var_dir: str = _setting("var", "Folder of all data, logs and generated secrets.")
    port: int = _setting(8000, "Port of the gateway and the pages.", maximum=65_535)
    simulator_port: int = _setting(8001, "Port of the simulated provider.", maximum=65_535)
    simulator_invoice_calls: int = _setting(200_000, "Calls that the simulator's invoice remembers.")
