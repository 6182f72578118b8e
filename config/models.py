"""People and their keys."""

import hashlib
import secrets

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class Role(models.TextChoices):
    """What a person is here for; each role may do all that the ones before it may."""

    MEMBER = "member", "Member"
    ANNOTATOR = "annotator", "Annotator"
    REVIEWER = "reviewer", "Reviewer"
    RESEARCHER = "researcher", "Researcher"
    ADMIN = "admin", "Admin"


ROLE_ORDER = [role.value for role in Role]

#: "react" alone may stand in the pages of other sites: it can judge answers and do nothing else.
ROLE_SCOPES = {
    Role.MEMBER: {"react", "feedback"},
    Role.ANNOTATOR: {"react", "feedback", "annotate"},
    Role.REVIEWER: {"react", "feedback", "annotate", "review"},
    Role.RESEARCHER: {"react", "feedback", "annotate", "review", "research"},
    Role.ADMIN: {"react", "feedback", "annotate", "review", "research", "admin"},
}
SCOPES = sorted(ROLE_SCOPES[Role.ADMIN])


def new_pseudonym() -> str:
    """A stable public name that says nothing about the person: `p-` and ten hex digits."""
    return f"p-{secrets.token_hex(5)}"


class User(AbstractUser):
    """A person, or an imported annotator who cannot log in (`is_active` false)."""

    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    pseudonym = models.CharField(max_length=40, unique=True, default=new_pseudonym)

    def has_role(self, role: str) -> bool:
        """Whether this person's role is `role` or above."""
        return self.is_active and ROLE_ORDER.index(self.role) >= ROLE_ORDER.index(role)

    @property
    def scopes(self) -> set[str]:
        """What a signed-in session of this person may do."""
        return ROLE_SCOPES[Role(self.role)] if self.is_active else set()


class AccessKeyManager(models.Manager):
    def issue(
        self, *, user: User, scopes: list[str], name: str = "", **limits: int | None
    ) -> tuple["AccessKey", str]:
        """Create a key; the secret is returned once and only its hash is kept."""
        secret = f"pk-{secrets.token_urlsafe(32)}"
        key = self.create(
            user=user, name=name, scopes=sorted(scopes), prefix=secret[:9],
            digest=_digest(secret), **limits,
        )  # fmt: skip
        return key, secret

    def find(self, secret: str) -> "AccessKey | None":
        """The live key with this secret, or None."""
        return (
            self.select_related("user")
            .filter(digest=_digest(secret), revoked_at=None, user__is_active=True)
            .first()
        )


def _digest(secret: str) -> str:
    # Keys are 256 random bits, so one plain hash is enough; there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


class AccessKey(models.Model):
    """A bearer key: `Authorization: Bearer pk-...`, scoped and revocable, stored hashed."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_keys")
    name = models.CharField(max_length=80, blank=True)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=16))
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="At the doors under /v1/; empty takes the instance's."
    )
    tokens_per_day = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = AccessKeyManager()

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"

    def revoke(self) -> None:
        """Make the key useless from now on."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])
