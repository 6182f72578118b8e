"""One job a device: leases in the database, fenced by a token that grows with every claim."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from alignment import conf
from alignment.models import Device, Run


@dataclass(frozen=True)
class Lease:
    """Devices held by one job, each with the token it was claimed by."""

    host: str
    tokens: dict[int, int]
    names: tuple[str, ...]


def of_this_host() -> list[str]:
    """Where jobs can train here: DEVICES, else every GPU, else the processor."""
    if conf.DEVICES:
        return conf.DEVICES
    found = sorted(int(path.name[6:]) for path in Path("/dev").glob("nvidia[0-9]*"))
    return [f"cuda:{number}" for number in found] or ["cpu"]


def claim(run: Run, *, host: str, worker: str) -> Lease | None:
    """As many free devices of this host as the run has processes; None when there are too few.

    Devices whose lease ended are free: their holder stopped renewing it.
    """
    wanted = max(1, run.processes)
    names = of_this_host()
    for name in names:
        _ensure(host, name)
    now = timezone.now()
    with transaction.atomic():
        free = list(
            Device.objects.select_for_update(skip_locked=True)
            .filter(Q(run=None) | Q(expires_at__lt=now), host=host, name__in=names)
            .order_by("name")[:wanted]
        )
        if len(free) < min(wanted, len(names)):
            return None
        Device.objects.filter(pk__in=[one.pk for one in free]).update(
            run=run, worker=worker, token=F("token") + 1, expires_at=now + _length()
        )
    return Lease(host, {one.pk: one.token + 1 for one in free}, tuple(one.name for one in free))


def any_free(*, host: str) -> bool:
    """Whether a device of this host could be claimed now."""
    held = Device.objects.filter(
        run__isnull=False, expires_at__gte=timezone.now(), host=host, name__in=of_this_host()
    )
    return held.count() < len(of_this_host())


def renew(lease: Lease) -> bool:
    """Hold on for a while longer; False when a device went to someone else meanwhile."""
    until = timezone.now() + _length()
    kept = sum(_held(lease, pk).update(expires_at=until) for pk in lease.tokens)
    return kept == len(lease.tokens)


def release(lease: Lease) -> None:
    """Give the devices back, those that are still held."""
    for pk in lease.tokens:
        _held(lease, pk).update(run=None, worker="", expires_at=None)


def sweep() -> int:
    """Free what nobody renews any more; how many devices that were."""
    return Device.objects.filter(run__isnull=False, expires_at__lt=timezone.now()).update(
        run=None, worker="", expires_at=None
    )


def free_of(workers: Iterable[str]) -> None:
    """Free what workers that are known to be dead held."""
    Device.objects.filter(worker__in=list(workers)).update(run=None, worker="", expires_at=None)


def _held(lease: Lease, pk: int):
    return Device.objects.filter(pk=pk, token=lease.tokens[pk], run__isnull=False)


def _length() -> timedelta:
    return timedelta(seconds=conf.STALE_SECONDS)


def _ensure(host: str, name: str) -> None:
    if Device.objects.filter(host=host, name=name).exists():
        return
    try:
        with transaction.atomic():
            Device.objects.create(host=host, name=name)
    except IntegrityError:  # another worker of this host was first
        return
