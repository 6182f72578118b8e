"""What the dashboard reads: counts of answers by time, kept in step with the event stream.

Triggers note which answers something happened to (`RollupDirty`), in the transaction in which it
happened. A fold takes those notes, looks at each answer anew (`AnswerTally`) and adds what has
changed since the last look to the counts. So an event told twice, taken back or deleted is
counted as often as it stands, and a note that is folded twice changes nothing.
"""

from django.db import models
from django.db.models import Q


class Measures(models.Model):
    """What is counted. In a tally most are 0 or 1, so that sums over them are shares of answers.

    `timed` answers are those with both times, and `first_ms` and `whole_ms` sum over these;
    `writing_ms` is from the first token to the end where tokens were counted. `good_milli` and
    `bad_milli` are thousandths of a reaction, weighed by trust.
    """

    answers = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cut = models.BigIntegerField(default=0)
    shown = models.BigIntegerField(default=0)
    reacted = models.BigIntegerField(default=0)
    good = models.BigIntegerField(default=0)
    bad = models.BigIntegerField(default=0)
    love = models.BigIntegerField(default=0)
    like = models.BigIntegerField(default=0)
    laugh = models.BigIntegerField(default=0)
    dislike = models.BigIntegerField(default=0)
    sad = models.BigIntegerField(default=0)
    good_milli = models.BigIntegerField(default=0)
    bad_milli = models.BigIntegerField(default=0)
    reported = models.BigIntegerField(default=0)
    complained = models.BigIntegerField(default=0)
    copied = models.BigIntegerField(default=0)
    regenerated = models.BigIntegerField(default=0)
    edited = models.BigIntegerField(default=0)
    shared = models.BigIntegerField(default=0)
    followed = models.BigIntegerField(default=0)
    helped = models.BigIntegerField(default=0)
    misled = models.BigIntegerField(default=0)
    wins = models.BigIntegerField(default=0)
    losses = models.BigIntegerField(default=0)
    ties = models.BigIntegerField(default=0)
    both_bad = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    timed = models.BigIntegerField(default=0)
    first_ms = models.BigIntegerField(default=0)
    whole_ms = models.BigIntegerField(default=0)
    writing_ms = models.BigIntegerField(default=0)
    dwell_ms = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class Key(models.Model):
    """What answers are told apart by. References without constraints: counts outlive nothing, but
    a fold may meet what is being deleted."""

    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, db_constraint=False, db_index=False,
        related_name="+",
    )  # fmt: skip
    model_version = models.ForeignKey(
        "inference.ModelVersion", on_delete=models.CASCADE, db_constraint=False, db_index=False,
        related_name="+",
    )  # fmt: skip
    arm = models.CharField(max_length=10, blank=True, help_text="As it was when the answer ended.")
    source = models.CharField(max_length=4)

    class Meta:
        abstract = True


class AnswerTally(Key, Measures):
    """What stands about one ended answer of a model, as of the last fold."""

    message = models.UUIDField(primary_key=True)
    person = models.BigIntegerField(help_text="A hash of whose conversation it is.")
    at = models.DateTimeField(help_text="When the answer ended.")

    class Meta:
        indexes = [models.Index(fields=["project", "at"], name="tally_by_time")]

    def __str__(self) -> str:
        return f"tally of {self.message}"


class Grain(models.TextChoices):
    """Lengths of the periods that are counted."""

    MINUTE = "minute", "Minute"
    HOUR = "hour", "Hour"
    DAY = "day", "Day"
    WEEK = "week", "Week"


class Rollup(Key, Measures):
    """Sums over the answers that ended in one period (UTC), by model version, arm and door."""

    grain = models.CharField(max_length=6, choices=Grain)
    start = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["project", "updated_at"], name="rollup_by_change")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "grain", "start", "model_version", "arm", "source"],
                name="rollup_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.grain} {self.start} of {self.project_id}"


class RollupLatency(Key):
    """How many answers took how long: `bucket` k holds [2^(k/4), 2^((k+1)/4)) milliseconds."""

    grain = models.CharField(max_length=6, choices=Grain)
    start = models.DateTimeField()
    what = models.CharField(
        max_length=5, choices=[("first", "To the first token"), ("whole", "Whole")]
    )
    bucket = models.SmallIntegerField()
    n = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "grain", "start", "what", "model_version", "arm", "source",
                        "bucket"],
                name="rollup_latency_once",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.what} {self.bucket}: {self.n}"


class RollupPerson(Key):
    """Who had answers in a period, so that people can be counted once; goes with the answers."""

    grain = models.CharField(max_length=6, choices=Grain)
    start = models.DateTimeField()
    person = models.BigIntegerField()
    n = models.BigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["n"], condition=Q(n__lte=0), name="rollup_person_gone")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "grain", "start", "person", "model_version", "arm", "source"],
                name="rollup_person_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.n}"


class RollupDirty(models.Model):
    """A note that something happened to an answer; written by triggers, taken by the fold."""

    id = models.BigAutoField(primary_key=True)
    message = models.UUIDField()

    def __str__(self) -> str:
        return str(self.message)
