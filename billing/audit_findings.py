"""What an audit finds: how many rows break a rule, in whose books, with a few of them in words."""

import uuid
from dataclasses import dataclass, field

MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome; `differences` is how many rows break it, `examples` a few of them in words."""

    number: str
    title: str
    by_organization: "dict[uuid.UUID | None, Difference]" = field(default_factory=dict)

    @property
    def differences(self) -> int:
        return sum(each.count for each in self.by_organization.values())

    @property
    def examples(self) -> tuple[str, ...]:
        found = [text for each in self.by_organization.values() for text in each.examples]
        return tuple(found[:MAX_EXAMPLES])


@dataclass(frozen=True, slots=True)
class Difference:
    """What breaks a rule in one organization's books."""

    count: int
    examples: tuple[str, ...]
