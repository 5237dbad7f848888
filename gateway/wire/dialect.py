"""Dialects: what differs between the mounts of the one completion endpoint, and nothing else.

The path chooses the dialect (CONTRACT 3.6, decisions 1, 6, 8, 9, 10, 12, 25 and 36).
"""

from dataclasses import dataclass
from enum import Enum


class ModelForm(Enum):
    """How an answer names the model that served."""

    MODEL_AT_PROVIDER = "model@provider"
    PROVIDER_SLASH_MODEL = "provider/model"
    MODEL = "model"


class UsagePlace(Enum):
    """Where a stream tells its usage: exactly one chunk does, or none."""

    ON_FINISH = "on the finish chunk"
    SEPARATE = "on a last chunk without choices"
    NONE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    prefix: str
    model_form: ModelForm = ModelForm.PROVIDER_SLASH_MODEL
    unasked_usage_place: UsagePlace = UsagePlace.ON_FINISH
    has_validation_list: bool = False
    has_string_content: bool = False
    has_cost_object: bool = False
    has_event_envelope: bool = False
    has_log_probs: bool = False

    def answer_model(self, provider: str, model: str) -> str:
        match self.model_form:
            case ModelForm.MODEL_AT_PROVIDER:
                return f"{model}@{provider}"
            case ModelForm.PROVIDER_SLASH_MODEL:
                return f"{provider}/{model}"
            case ModelForm.MODEL:
                return model

    def usage_place(self, include_usage: bool | None) -> UsagePlace:
        """Where usage goes, given what the client asked for in `stream_options`."""
        if include_usage is None:
            return self.unasked_usage_place
        return UsagePlace.SEPARATE if include_usage else UsagePlace.NONE


V0 = Dialect(
    prefix="/v0", model_form=ModelForm.MODEL_AT_PROVIDER, has_validation_list=True, has_string_content=True
)
V1 = Dialect(prefix="/v1")
API_V1 = Dialect(prefix="/api/v1", unasked_usage_place=UsagePlace.SEPARATE)
OPENAI_V1 = Dialect(
    prefix="/openai/v1",
    model_form=ModelForm.MODEL,
    unasked_usage_place=UsagePlace.NONE,
    has_cost_object=True,
    has_event_envelope=True,
    has_log_probs=True,
)

DIALECTS = {dialect.prefix: dialect for dialect in (V0, V1, API_V1, OPENAI_V1)}


def dialect_of(path: str) -> Dialect:
    """The dialect of whatever lies below a mount, whether it exists or not; the neutral one elsewhere."""
    for prefix, dialect in DIALECTS.items():
        if path.startswith(f"{prefix}/"):
            return dialect
    return V1
