"""Erasing a person: the snapshots they are in and the models trained on them are found and marked.

A snapshot does not change, and neither does a model; both say from then on that data of someone
who was erased is in them, so that they can be retired. Later snapshots are drawn without it.
"""

from django.utils import timezone

from alignment.models import Snapshot
from alignment.services import snapshots
from config.erasure import Erasure
from inference.models import ModelVersion

MARK = "trained_on_erased"


def would(erasure: Erasure) -> dict[str, int]:
    """How many snapshots hold words of the person, and how many models were trained on them."""
    taken = _snapshots(erasure.pseudonym)
    return {"snapshots": len(taken), "models": _models(taken).count()}


def erase(erasure: Erasure) -> dict[str, int]:
    """Mark them, and forget the name under which the person was found."""
    taken = _snapshots(erasure.pseudonym)
    models = list(_models(taken).select_for_update(of=("self",)))
    now = timezone.now().isoformat(timespec="seconds")
    for version in models:
        before = version.metadata.get(MARK, {})
        version.metadata[MARK] = {"people": before.get("people", 0) + 1, "last": now}
        version.save(update_fields=["metadata"])
    for snapshot in taken:
        snapshot.names = snapshot.names or snapshots.named(snapshot)
        snapshot.erased += 1
        snapshot.names = [name for name in snapshot.names if name != erasure.pseudonym]
        snapshot.save(update_fields=["erased", "names"])
    return {"snapshots": len(taken), "models": len(models)}


def _snapshots(pseudonym: str) -> list[Snapshot]:
    found = list(Snapshot.objects.filter(names__contains=[pseudonym]))
    # Older ones do not list their people.
    unlisted = Snapshot.objects.filter(names=[], people__gt=0, erased=0)
    return found + [taken for taken in unlisted if pseudonym in snapshots.named(taken)]


def _models(taken: list[Snapshot]):
    """The models trained on these snapshots, and those that grew out of such models."""
    runs = ModelVersion.objects.filter(run__snapshot__in=taken)
    in_rounds = ModelVersion.objects.filter(run__round__snapshot__in=taken)
    found = set((runs | in_rounds).values_list("pk", flat=True))
    newest = found
    while newest:
        children = ModelVersion.objects.filter(parent__in=newest).values_list("pk", flat=True)
        newest = set(children) - found
        found |= newest
    return ModelVersion.objects.filter(pk__in=found)
