"""Settings for tools that only read the code, such as the type checker: no environment is needed."""

import os

os.environ.setdefault("FAREBOX_MODE", "test")

from config.settings import *  # noqa: F403
