"""`manage.py makevectors`: make the table for questions that are alike, once PostgreSQL has pgvector."""

from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

MIGRATION = "gateway.migrations.0011_cached_questions"


class Command(BaseCommand):
    help = "Make the table for questions that are alike. Safe to run twice."

    def handle(self, *args: Any, **options: Any) -> None:
        if not import_module(MIGRATION).make_table(connection):
            raise CommandError(
                "PostgreSQL has no pgvector, or does not let this role use it: install the package "
                "(such as postgresql-18-pgvector) and run CREATE EXTENSION vector as its superuser."
            )
        self.stdout.write("Questions that are alike can be found.")
