"""What tests of racing transactions ask PostgreSQL."""

from django.db import connection


def is_somebody_waiting() -> bool:
    """Whether another session waits for a lock of ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])
