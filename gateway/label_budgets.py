"""Budgets of tags, end users and model families: which of them bind one request, and as whom. Pure.

A budget of each tag or end user has a counter for every one of them, named by a digest.
"""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct

from billing.families import is_of_family
from gateway.policy import BudgetRule, Scope
from gateway.routing.target import Target

DIGEST_BYTES = 16


class Labels(Struct, frozen=True):
    """What a request says of itself, and the targets that may answer it."""

    tags: Sequence[str] = ()
    end_user: str = ""
    targets: Sequence[Target] = ()


def bound_subjects(scope: Scope, rule: BudgetRule, labels: Labels) -> Iterable[str]:
    """The tags, the end user or the family for which this budget binds the request; mostly none or one."""
    if scope.kind == "tag":
        return labels.tags if rule.is_each else [tag for tag in labels.tags if tag == rule.subject]
    if scope.kind == "end_user":
        is_bound = labels.end_user != "" and (rule.is_each or labels.end_user == rule.subject)
        return [labels.end_user] if is_bound else ()
    is_bound = any(
        is_of_family(rule.subject, provider=target.provider, model=target.model) for target in labels.targets
    )
    return [rule.subject] if is_bound else ()


def counter_part(rule: BudgetRule, subject: str) -> str:
    """What tells the counters of one budget's subjects apart."""
    return subject_part(subject) if rule.is_each else ""


def subject_part(subject: str) -> str:
    """The digest that stands for a tag or an end user in a counter's name."""
    return f":{hashlib.blake2b(subject.encode(), digest_size=DIGEST_BYTES).hexdigest()}"
