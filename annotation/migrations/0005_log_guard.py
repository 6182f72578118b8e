"""The log keeps what was written, and speaks of every judgment and task there is already."""

from django.db import migrations

GUARD = """
CREATE FUNCTION annotation_log_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'entries of the log are not deleted (entry %)', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.position IS NOT NULL
       OR (NEW.id, NEW.project_id, NEW.action, NEW.subject, NEW.subject_id, NEW.actor,
           NEW.digest, NEW.at)
          IS DISTINCT FROM
          (OLD.id, OLD.project_id, OLD.action, OLD.subject, OLD.subject_id, OLD.actor,
           OLD.digest, OLD.at) THEN
        RAISE EXCEPTION 'entries of the log are not changed (entry %)', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER annotation_log_guard BEFORE UPDATE OR DELETE ON annotation_logentry
    FOR EACH ROW EXECUTE FUNCTION annotation_log_guard();
"""

NO_GUARD = """
DROP TRIGGER annotation_log_guard ON annotation_logentry;
DROP FUNCTION annotation_log_guard();
"""

PARTS = (
    "PairwiseJudgment", "DimensionChoice", "RankingPlace", "SpanMark", "MissingMark",
    "PrincipleVerdict", "Rating", "Critique", "HarmMark", "StepMark", "TripletChoice",
)
PAGE = 1000


def speak_of_what_is_there(apps, schema_editor):
    from annotation.services import log

    entry = apps.get_model("annotation", "LogEntry")

    def pages(rows):
        last = None
        while page := list(rows.filter(pk__gt=last)[:PAGE] if last else rows[:PAGE]):
            last = page[-1].pk
            yield page

    def write(made):
        fields = ("project_id", "action", "subject", "subject_id", "actor", "digest", "at")
        entry.objects.bulk_create(entry(**{f: getattr(e, f) for f in fields}) for e in made)

    candidates = apps.get_model("annotation", "Candidate").objects
    for page in pages(apps.get_model("annotation", "Task").objects.order_by("pk")):
        shown = {}
        for row in candidates.filter(task__in=[t.pk for t in page]):
            shown.setdefault(row.task_id, []).append(row)
        write(log.entry_for_task(task, shown.get(task.pk, ())) for task in page)
    judgments = apps.get_model("annotation", "Judgment").objects
    for page in pages(judgments.order_by("pk")):
        typed = {}
        for name in PARTS:
            model = apps.get_model("annotation", name)
            for row in model.objects.filter(judgment__in=[j.pk for j in page]):
                typed.setdefault(row.judgment_id, []).append(row)
        keys = [j.pk for j in page]
        gone = set(judgments.filter(supersedes__in=keys).values_list("supersedes_id", flat=True))
        for row in page:
            write(log.history_of(row, typed.get(row.pk, ()), is_superseded=row.pk in gone))


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0004_every_kind_and_quality"),
    ]

    operations = [
        migrations.RunPython(speak_of_what_is_there, migrations.RunPython.noop),
        migrations.RunSQL(GUARD, NO_GUARD),
    ]
