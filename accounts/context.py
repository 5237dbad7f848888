"""What every page's frame shows: the organization, what may be opened in it, and the person's own."""

from django.http import HttpRequest


def tenant(request: HttpRequest) -> dict[str, object]:
    """Template variables of the frame; empty for people who are not signed in."""
    return {}
