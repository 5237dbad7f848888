"""How people are created: by e-mail address, without a user name."""

from typing import Any

from django.contrib.auth.base_user import BaseUserManager


class PersonManager(BaseUserManager[Any]):
    """Creates people; the admin's `createsuperuser` and allauth come through here."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> Any:
        if not email:
            raise ValueError("email must be given")
        person = self.model(email=self.normalize_email(email).lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> Any:
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})
