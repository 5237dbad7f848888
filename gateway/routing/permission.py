"""Permission: which offers a key's list of models allows, and how it is told what it may not use."""

from collections.abc import Sequence

from gateway.errors import GatewayError, ModelBlocked, ProviderBlocked
from gateway.routing.target import Offer

SHOWN_MODEL_CHARACTERS = 200


def is_allowed(provider: str, model: str, allowed_models: Sequence[str] | None) -> bool:
    """Whether a pattern allows this: `model`, `provider/model`, `provider/*`, `model@provider` or `*`."""
    if allowed_models is None:
        return True
    wanted = {model, f"{provider}/{model}", f"{provider}/*", f"{model}@{provider}", "*"}
    return any(pattern in wanted for pattern in allowed_models)


def allowed(
    offers: Sequence[Offer], allowed_models: Sequence[str] | None, *, text: str, param: str = "model"
) -> list[Offer]:
    """The offers that the key may use. Raises ProviderBlocked or ModelBlocked if there are none."""
    found = [offer for offer in offers if is_allowed(offer.provider, offer.model, allowed_models)]
    if found:
        return found
    raise _blocked(offers[0], allowed_models or (), text=text, param=param)


def _blocked(offer: Offer, allowed_models: Sequence[str], *, text: str, param: str) -> GatewayError:
    model = offer.model
    is_known_elsewhere = any(
        pattern == model or pattern.endswith(f"/{model}") or pattern.startswith(f"{model}@")
        for pattern in allowed_models
    )
    if is_known_elsewhere:
        return ProviderBlocked(
            f"This key may use {model[:SHOWN_MODEL_CHARACTERS]!r}, but not at {offer.provider}.", param=param
        )
    return ModelBlocked(f"This key may not use the model {text[:SHOWN_MODEL_CHARACTERS]!r}.", param=param)
