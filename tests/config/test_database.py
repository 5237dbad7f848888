"""How Django connects to PostgreSQL, and what DATABASE_URL may say of it."""

import pytest
from django.db import connection

from config.database import connection_options

SERVERS = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "value"),
    [("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")],
)
def test_postgresql_asks_whether_our_machine_is_still_there(setting, value):
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        assert cursor.fetchone() == (value,)


def test_we_ask_whether_postgresqls_machine_is_still_there():
    assert connection_options("") == {
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "options": SERVERS,
    }


def test_what_the_url_says_is_kept_and_wins():
    options = connection_options(
        "sslmode=require&keepalives_idle=5&options=-c%20tcp_keepalives_idle%3D7%20-c%20geqo%3Doff"
    )

    assert options["sslmode"] == "require"
    assert (options["keepalives_idle"], options["keepalives_count"]) == ("5", "3")
    assert options["options"] == f"{SERVERS} -c tcp_keepalives_idle=7 -c geqo=off"
