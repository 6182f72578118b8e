"""A judgment on its way into its rows: what every door that submits shares."""

from uuid import UUID

from django.db import models

from annotation.bodies import Body
from annotation.models import Assignment, Judgment, PairwiseJudgment
from annotation.models.judgments import Part
from annotation.services import log, parts
from config.models import User

# Stores a judgment of a lease that is held, with its pairwise row, its log entry and the counts of
# its task, in one statement (migration 0006). False, with nothing stored, in any other case.
SUBMIT = (
    "SELECT annotation_submit(%s::uuid, %s, %s::uuid, %s, %s::uuid, %s, %s, %s::text[], %s, %s,"
    " %s, %s, %s::smallint, %s, %s)"
)


def drawn_up(
    assignment: Assignment, checked: Body, *, by: User, key: str | None, surplus: bool = False
) -> tuple[Judgment, list[models.Model]]:
    """The judgment and its typed rows, not saved."""
    task = assignment.task
    judgment = Judgment(
        project=task.project,
        task=task,
        assignment=assignment,
        annotator=by,
        kind=checked.kind,
        shown=assignment.shown,
        rationale=checked.rationale,
        flags=list(checked.flags),
        seconds=checked.seconds,
        surplus=surplus,
        idempotency_key=key,
    )
    return judgment, parts.rows(judgment, checked)


def only_pairwise(typed: list[models.Model]) -> bool:
    """Whether SUBMIT writes these rows itself."""
    return len(typed) == 1 and isinstance(typed[0], PairwiseJudgment)


def submit_values(
    judgment: Judgment, typed: list[models.Model], *, pseudonym: str, token: UUID
) -> list:
    """The values of SUBMIT."""
    pair = typed[0] if only_pairwise(typed) else None
    return [
        judgment.assignment_id,
        judgment.annotator_id,
        token,
        judgment.idempotency_key,
        judgment.pk,
        judgment.kind,
        judgment.rationale,
        judgment.flags,
        judgment.seconds,
        judgment.created_at,
        pair.outcome if pair else None,
        pair.preferred_id if pair else None,
        pair.strength if pair else None,
        pseudonym,
        log.judgment_digest(judgment, typed),
    ]


_LISTS = {
    relation.related_model: relation.get_accessor_name()
    for relation in Judgment._meta.related_objects
    if relation.one_to_many and issubclass(relation.related_model, Part)
}


def known(judgment: Judgment, typed: list[models.Model]) -> Judgment:
    """The judgment with its typed rows at hand, so that reading its answer asks nothing."""
    judgment._state.adding = False
    rows: dict[str, list] = {name: [] for name in _LISTS.values()}
    for row in typed:
        if type(row) in _LISTS:
            rows[_LISTS[type(row)]].append(row)
    judgment._prefetched_objects_cache = rows
    return judgment
