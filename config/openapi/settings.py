"""How the OpenAPI document is set up: its title, its words, and the hooks that complete it."""

from typing import Any

DESCRIPTION = """\
One address for every model, and the calls that manage who may spend what.

**Models**: `POST …/chat/completions` under four prefixes, which differ in their dialect alone, and the model
lists. They take an API key: `Authorization: Bearer fbx_…`.

**Management**: everything below `/api/manage/v1/`. It takes a management token,
`Authorization: Bearer fbm_…`, which a member creates under Settings, or the session of a signed-in browser.
Amounts are US dollars as decimal strings, moments are RFC 3339 in UTC, ids are UUIDs, and lists come in
pages by cursor.
"""

DOCUMENT: dict[str, Any] = {
    "TITLE": "Farebox",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/manage/v1/",
    "COMPONENT_SPLIT_REQUEST": False,
    "COMPONENT_SPLIT_PATCH": False,
    "SCHEMA_COERCE_PATH_PK": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["config.openapi.management.only_management"],
    "POSTPROCESSING_HOOKS": [
        "config.openapi.management.add_refusals",
        "config.openapi.models.add_model_calls",
    ],
}
