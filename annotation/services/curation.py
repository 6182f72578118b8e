"""Taking single tasks out of a project, and putting them back."""

from django.db import transaction

from annotation.models import Task


@transaction.atomic
def withdraw(*, task: Task) -> Task:
    """Ask a task of nobody any more. Who holds it may still send; judgments stay."""
    task = Task.objects.select_for_update().get(pk=task.pk)
    task.state = Task.State.WITHDRAWN
    task.save(update_fields=["state"])
    return task


@transaction.atomic
def reopen(*, task: Task) -> Task:
    """Put a withdrawn task back: open while it wants judgments, done otherwise."""
    task = Task.objects.select_for_update().get(pk=task.pk)
    if task.state == Task.State.WITHDRAWN:
        wanted = task.done < task.overlap
        task.state = Task.State.OPEN if wanted else Task.State.DONE
        task.save(update_fields=["state"])
    return task
