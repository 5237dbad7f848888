"""Writing usage events: one statement per batch, each event once by its id.

Rows go over as one JSON document, which PostgreSQL turns into columns: neither 45 arrays nor a
temporary table per second. Reading is in `billing.selectors`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from billing.arrivals import Arrival, row_of

# Taken shared by every writer of events and exclusively by the rollups for a moment, so that a
# sequence number never appears below one that they have passed.
INGEST_LOCK_ID = 0x666172_65626F78

_COLUMNS = (
    "id, occurred_at, organization_id, project_id, key_id, request_id, route, requested_model, model,"
    " provider, is_own_credential, is_stream, status, ending, error_code, error_message, finish_reason,"
    " input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,"
    " audio_input_tokens, audio_output_tokens, image_input_tokens, cache_write_1h_tokens, searches,"
    " is_estimated, price_version,"
    " cost_usd, charge_usd, cost_parts, duration_ms, first_token_ms, overhead_ms, timeline, attempts,"
    " limits, parameters, tags, end_user, session_id, agent, source, signature, metadata, would_refuse,"
    " cache_hit"
)
# An id is bound to one moment of arrival, but two reports of it may differ in its precision.
_INSERT_EVENTS = f"""
INSERT INTO billing_usageevent ({_COLUMNS})
SELECT {_COLUMNS} FROM json_populate_recordset(NULL::billing_usageevent, %s::json) AS arrived
 WHERE NOT EXISTS (
       SELECT 1 FROM billing_usageevent known
        WHERE known.id = arrived.id
          AND known.occurred_at > arrived.occurred_at - interval '1 day'
          AND known.occurred_at < arrived.occurred_at + interval '1 day')
    ON CONFLICT (id, occurred_at) DO NOTHING
RETURNING id
"""
_INSERT_BODIES = """
INSERT INTO billing_usagebody (event_id, occurred_at, organization_id, encrypted_request, encrypted_response)
SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::bytea[], %s::bytea[])
    ON CONFLICT (event_id, occurred_at) DO NOTHING
"""


def lock_out_rollups() -> None:
    """Announce a writer of events until the end of this transaction; waits for a rollup's moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [INGEST_LOCK_ID])


def insert_events(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Store the events that are not there yet, with their bodies, and give those; ids must differ."""
    document = orjson.dumps([row_of(arrival) for arrival in arrivals]).decode()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_EVENTS, [document])
        inserted: set[UUID] = {row[0] for row in cursor.fetchall()}
    stored = [arrival for arrival in arrivals if arrival.id in inserted]
    _insert_bodies([arrival for arrival in stored if arrival.request_body or arrival.response_body])
    return stored


def _insert_bodies(arrivals: Sequence[Arrival]) -> None:
    if not arrivals:
        return
    columns: list[Any] = [
        [arrival.id for arrival in arrivals],
        [arrival.at for arrival in arrivals],
        [arrival.organization for arrival in arrivals],
        [arrival.request_body for arrival in arrivals],
        [arrival.response_body for arrival in arrivals],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_BODIES, columns)
