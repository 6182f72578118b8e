"""Side-by-side battles with their votes, leaderboards, and how far a reaction counts."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

VOTES = """
CREATE FUNCTION feedback_vote_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['weight', 'doubts', 'judgment_id'];
BEGIN
    IF to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'the vote in battle % was given and stays', OLD.battle_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER feedback_vote_keep BEFORE UPDATE ON feedback_vote
    FOR EACH ROW EXECUTE FUNCTION feedback_vote_keep();
"""

BACK = """
DROP TRIGGER feedback_vote_keep ON feedback_vote;
DROP FUNCTION feedback_vote_keep;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0004_every_kind_and_quality"),
        ("feedback", "0004_chat_signals"),
    ]

    operations = [
        migrations.CreateModel(
            name="Leaderboard",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="leaderboard",
                        serialize=False,
                        to="annotation.project",
                    ),
                ),
                ("board", models.JSONField()),
                ("pairs", models.JSONField()),
                (
                    "seen",
                    models.CharField(help_text="Which votes and weights were read.", max_length=80),
                ),
                ("computed_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AlterField(
            model_name="conversation",
            name="source",
            field=models.CharField(
                choices=[("chat", "Chat"), ("api", "API"), ("side", "Side by side")],
                default="chat",
                help_text="The door it came through; only those of the chat are listed there.",
                max_length=4,
            ),
        ),
        migrations.CreateModel(
            name="Battle",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("chance", models.FloatField(default=1.0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="battles",
                        to="feedback.conversation",
                    ),
                ),
                (
                    "left",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="battle_as_left",
                        to="feedback.message",
                    ),
                ),
                (
                    "question",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="battle",
                        to="feedback.message",
                    ),
                ),
                (
                    "right",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="battle_as_right",
                        to="feedback.message",
                    ),
                ),
            ],
            options={
                "ordering": ["created_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="ReactionTrust",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="trust",
                        serialize=False,
                        to="feedback.event",
                    ),
                ),
                ("weight", models.FloatField()),
                ("doubts", models.JSONField(default=list)),
                ("computed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("weight__gte", 0), ("weight__lte", 1)),
                        name="trust_weight_is_a_share",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Vote",
            fields=[
                (
                    "battle",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="vote",
                        serialize=False,
                        to="feedback.battle",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("left", "The left one is better"),
                            ("right", "The right one is better"),
                            ("tie", "Equally good"),
                            ("both_bad", "Both are bad"),
                        ],
                        max_length=8,
                    ),
                ),
                ("client_event", models.UUIDField(unique=True)),
                (
                    "seconds",
                    models.FloatField(
                        blank=True, help_text="From both answers to the vote.", null=True
                    ),
                ),
                (
                    "style_left",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(), size=4
                    ),
                ),
                (
                    "style_right",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(), size=4
                    ),
                ),
                ("weight", models.FloatField(default=1.0)),
                ("doubts", models.JSONField(blank=True, default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "judgment",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="vote",
                        to="annotation.judgment",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="battle",
            index=models.Index(
                fields=["conversation", "created_at"], name="battle_by_conversation"
            ),
        ),
        migrations.AddConstraint(
            model_name="battle",
            constraint=models.CheckConstraint(
                condition=models.Q(("left", models.F("right")), _negated=True), name="battle_of_two"
            ),
        ),
        migrations.AddConstraint(
            model_name="battle",
            constraint=models.CheckConstraint(
                condition=models.Q(("chance__gt", 0), ("chance__lte", 1)),
                name="battle_chance_is_a_share",
            ),
        ),
        migrations.AddIndex(
            model_name="vote",
            index=models.Index(fields=["created_at"], name="vote_by_time"),
        ),
        migrations.AddConstraint(
            model_name="vote",
            constraint=models.CheckConstraint(
                condition=models.Q(("weight__gte", 0), ("weight__lte", 1)),
                name="vote_weight_is_a_share",
            ),
        ),
        migrations.RunSQL(VOTES, BACK),
    ]
