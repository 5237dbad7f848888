"""Embeddings of questions whose answers are cached, where PostgreSQL has pgvector; else nothing is made.

Where pgvector comes later, `manage.py makevectors` makes what is made here. The table has no Django model: only
the data plane reads and writes it, with the type and the operator of pgvector.
"""

import logging
from typing import Any

from django.db import migrations, transaction
from django.db.utils import DatabaseError

logger = logging.getLogger(__name__)

IS_AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
MAKE = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """
    CREATE TABLE IF NOT EXISTS gateway_cachedquestion (
        organization_id uuid NOT NULL REFERENCES accounts_organization (id) ON DELETE CASCADE,
        kinship bytea NOT NULL,
        cache_id text NOT NULL,
        embedding vector NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (organization_id, kinship, cache_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS cached_question_by_expiry ON gateway_cachedquestion (organization_id, expires_at)",
)


def make_table(connection: Any) -> bool:
    """Make the extension and the table; False where the server has no pgvector, or refuses it to this role."""
    with connection.cursor() as cursor:
        cursor.execute(IS_AVAILABLE)
        if cursor.fetchone() is None:
            return False
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for statement in MAKE:
                cursor.execute(statement)
    except DatabaseError as exc:
        logger.warning("pgvector cannot be used", extra={"reason": str(exc).strip()[:200]})
        return False
    return True


def forwards(apps: Any, schema_editor: Any) -> None:
    make_table(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_project_caching"), ("gateway", "0010_embedding_endpoint")]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
        migrations.RunSQL(migrations.RunSQL.noop, "DROP TABLE IF EXISTS gateway_cachedquestion"),
    ]
