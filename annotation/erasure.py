"""Annotation's part in erasing a person (`config.erasure`)."""

from annotation.services import erasing
from config.erasure import Erasure


def would(erasure: Erasure) -> dict[str, int]:
    """What there is of the person."""
    return erasing.counts(person=erasure.person)


def erase(erasure: Erasure) -> dict[str, int]:
    """Judgments kept without a name or deleted; drafts, notes and memberships gone."""
    return erasing.erase(person=erasure.person, withdraws=erasure.withdraws, actor=erasure.by)
