"""Every write of what an organization wants of answers given before. Projects' caches: `limit_services`."""

from decimal import Decimal

from django.db import connection as database
from django.db import transaction

from accounts.models import Organization
from accounts.services import bump_epoch
from gateway.connection_rules import checked_declaration
from gateway.models import MAX_DEDUPLICATION_SECONDS, ProviderConnection, ReusePolicy

QUESTIONS_TABLE = "gateway_cachedquestion"
NO_VECTORS = (
    "The database of this server has no pgvector, so questions that are alike cannot be found. "
    "Ask the operator to install it and to run manage.py makevectors."
)


class WrongReuse(Exception):
    """A setting cannot be like this; `str()` of it says what to change. `field` names the value."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


@transaction.atomic
def set_deduplication(*, organization: Organization, seconds: int) -> None:
    """For how long a request's double is refused; 0: it is not. Raises WrongReuse."""
    if not 0 <= seconds <= MAX_DEDUPLICATION_SECONDS:
        raise WrongReuse(
            f"Duplicates can be refused for 1 to {MAX_DEDUPLICATION_SECONDS} seconds, or 0 for not at all.",
            field="deduplication_seconds",
        )
    ReusePolicy.objects.update_or_create(
        organization=organization, defaults={"deduplication_seconds": seconds}
    )
    bump_epoch(organization.pk)


@transaction.atomic
def set_embedding_endpoint(
    *,
    organization: Organization,
    connection: ProviderConnection | None,
    model: str = "",
    usd_per_million: Decimal = Decimal(0),
) -> None:
    """Who tells how alike two questions are: a connection of the organization's own, a model and its price.

    None for nobody. Raises WrongReuse, and WrongConnection for a name or price that cannot be.
    """
    if connection is None:
        model, usd_per_million = "", Decimal(0)
    else:
        _check_endpoint(organization, connection, model)
        stated = checked_declaration(
            model=model,
            upstream_name="",
            context_window_tokens=1,
            max_output_tokens=1,
            input_usd_per_million=usd_per_million,
            output_usd_per_million=Decimal(0),
        )
        model, usd_per_million = stated.model, stated.input_usd_per_million
    ReusePolicy.objects.update_or_create(
        organization=organization,
        defaults={
            "embedding_connection": connection,
            "embedding_model": model,
            "embedding_usd_per_million": usd_per_million,
        },
    )
    bump_epoch(organization.pk)


def has_vectors() -> bool:
    """Whether this database can hold and compare embeddings."""
    with database.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [QUESTIONS_TABLE])
        row = cursor.fetchone()
    return bool(row and row[0])


def forget_old_questions() -> int:
    """Forget the embeddings of questions whose answers are no longer kept; gives how many there were."""
    if not has_vectors():
        return 0
    with database.cursor() as cursor:
        cursor.execute(f"DELETE FROM {QUESTIONS_TABLE} WHERE expires_at <= now()")
        return int(cursor.rowcount)


def _check_endpoint(organization: Organization, connection: ProviderConnection, model: str) -> None:
    if connection.organization_id != organization.pk:
        raise WrongReuse("Choose a connection of this organization.", field="embedding_connection")
    if not has_vectors():
        raise WrongReuse(NO_VECTORS, field="embedding_connection")
    if not model.strip():
        raise WrongReuse("Name the embedding model, as in text-embedding-3-small.", field="embedding_model")
