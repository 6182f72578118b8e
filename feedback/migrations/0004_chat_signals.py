"""Signals beside reactions, rulings on reports, and links that share a path."""

import django.db.models.deletion
import feedback.models.shares
import uuid
from django.conf import settings
from django.db import migrations, models


KEEP = """
CREATE OR REPLACE FUNCTION feedback_event_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['weight'];
BEGIN
    -- A guest who signs in takes along what they said, once.
    IF OLD.actor_id IS NULL AND OLD.guest <> '' AND NEW.actor_id IS NOT NULL AND NEW.guest = ''
    THEN
        free := free || ARRAY['actor_id', 'guest'];
    END IF;
    IF to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'event % cannot be changed; add another event', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0003_immutable"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportRuling",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[("upheld", "Upheld"), ("dismissed", "Dismissed")], max_length=10
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Share",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "token",
                    models.CharField(
                        default=feedback.models.shares.new_token, max_length=32, unique=True
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.AddField(
            model_name="event",
            name="duration_ms",
            field=models.PositiveIntegerField(
                blank=True, help_text="Time on screen since the last such event.", null=True
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="share_seen",
            field=models.FloatField(
                blank=True,
                help_text="Greatest part of the answer that was on screen, 0 to 1.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="event",
            name="kind",
            field=models.CharField(
                choices=[
                    ("reaction", "Reaction"),
                    ("retraction", "Reaction taken back"),
                    ("copy", "Copied"),
                    ("regenerate", "Asked again"),
                    ("edit", "Edited the question"),
                    ("stop", "Stopped"),
                    ("report", "Reported"),
                    ("share", "Shared by link"),
                    ("follow-up", "Asked on"),
                    ("exposure", "Was on screen"),
                    ("dwell", "Time on screen"),
                    ("hindsight", "Judged later"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="event",
            name="reaction",
            field=models.CharField(
                blank=True,
                help_text="The reaction, or the verdict given in hindsight.",
                max_length=20,
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("guest", ""), _negated=True),
                fields=["guest"],
                name="event_by_guest",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("kind", "report")), fields=["id"], name="event_reports"
            ),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("share_seen__isnull", True),
                    models.Q(("share_seen__gte", 0), ("share_seen__lte", 1)),
                    _connector="OR",
                ),
                name="event_share_is_a_share",
            ),
        ),
        migrations.AddField(
            model_name="reportruling",
            name="by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="reportruling",
            name="report",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="ruling",
                to="feedback.event",
            ),
        ),
        migrations.AddField(
            model_name="share",
            name="conversation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="shares",
                to="feedback.conversation",
            ),
        ),
        migrations.AddField(
            model_name="share",
            name="leaf",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="feedback.message"
            ),
        ),
        migrations.AddConstraint(
            model_name="share",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revoked_at", None)),
                fields=("leaf",),
                name="share_one_live_link_per_path",
            ),
        ),
        migrations.RunSQL(KEEP, migrations.RunSQL.noop),
    ]
