"""What a start of the embedded default does before it serves: tables up to date, the demo seeded.

A child of config.supervisor; both commands in one process, since loading Django takes longest.
"""

import os

import django
from django.core.management import call_command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    call_command("migrate")
    call_command("seeddemo")


if __name__ == "__main__":
    main()
