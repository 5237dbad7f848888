"""What the services of accounts refuse; each message tells a person what to do instead."""


class AccountsRefusal(Exception):
    """A rule of accounts forbids this; `str()` of it may be shown to the person who asked.

    `field` names what is wrong, where one thing is.
    """

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NameMissing(AccountsRefusal):
    """A name is empty or too long."""


class NameTaken(AccountsRefusal):
    """Another row of the organization has this name."""


class RoleOutOfReach(AccountsRefusal):
    """Someone would grant or take away rights that they do not hold themselves."""


class LastOwner(AccountsRefusal):
    """The organization would be left without an owner."""


class AlreadyMember(AccountsRefusal):
    """The invited address belongs to somebody who is in the organization."""


class TooManyInvitations(AccountsRefusal):
    """The organization has sent all the invitations of a day."""


class InvitationClosed(AccountsRefusal):
    """The invitation was accepted, revoked or has expired."""


class InvitedElse(AccountsRefusal):
    """The invitation was sent to another address than the person's."""


class WrongLimit(AccountsRefusal):
    """A limit, tag, model list or expiry of a key is not allowed."""


class KeyRevoked(AccountsRefusal):
    """The key has ended for good; nothing about it can change."""


class TokenRefused(AccountsRefusal):
    """A management token cannot be made like this."""


class ForeignRow(AccountsRefusal):
    """Rows of two organizations would be tied together."""
