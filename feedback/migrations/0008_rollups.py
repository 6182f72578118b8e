"""Counts for dashboards, and the triggers that note which answers to count anew."""

import django.db.models.deletion
from django.db import migrations, models

NOTES = """
CREATE FUNCTION feedback_note_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feedback_rollupdirty (message) VALUES (coalesce(NEW.id, OLD.id));
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_note_message_made AFTER INSERT ON feedback_message FOR EACH ROW
    WHEN (NEW.role = 'assistant' AND NEW.model_version_id IS NOT NULL
        AND NEW.state IN ('complete', 'stopped', 'failed'))
    EXECUTE FUNCTION feedback_note_message();
CREATE TRIGGER feedback_note_message_ended AFTER UPDATE OF state ON feedback_message FOR EACH ROW
    WHEN (NEW.role = 'assistant' AND NEW.state IN ('complete', 'stopped', 'failed')
        AND NEW.state IS DISTINCT FROM OLD.state)
    EXECUTE FUNCTION feedback_note_message();
CREATE TRIGGER feedback_note_message_gone AFTER DELETE ON feedback_message FOR EACH ROW
    WHEN (OLD.role = 'assistant') EXECUTE FUNCTION feedback_note_message();

CREATE FUNCTION feedback_note_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feedback_rollupdirty (message) SELECT DISTINCT message_id FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_note_events_made AFTER INSERT ON feedback_event
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_events();
CREATE TRIGGER feedback_note_events_weighed AFTER UPDATE ON feedback_event
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_events();
CREATE TRIGGER feedback_note_events_gone AFTER DELETE ON feedback_event
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_events();

CREATE FUNCTION feedback_note_trust() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feedback_rollupdirty (message)
        SELECT DISTINCT e.message_id FROM changed JOIN feedback_event e ON e.id = changed.event_id;
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_note_trust_made AFTER INSERT ON feedback_reactiontrust
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_trust();
CREATE TRIGGER feedback_note_trust_weighed AFTER UPDATE ON feedback_reactiontrust
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_trust();
CREATE TRIGGER feedback_note_trust_gone AFTER DELETE ON feedback_reactiontrust
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_trust();

CREATE FUNCTION feedback_note_vote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feedback_rollupdirty (message)
        SELECT one FROM feedback_battle b, unnest(ARRAY[b.left_id, b.right_id]) one
        WHERE b.id = coalesce(NEW.battle_id, OLD.battle_id);
    RETURN NULL;
END $$;
CREATE TRIGGER feedback_note_vote AFTER INSERT OR DELETE ON feedback_vote
    FOR EACH ROW EXECUTE FUNCTION feedback_note_vote();

INSERT INTO feedback_rollupdirty (message) SELECT id FROM feedback_message
    WHERE role = 'assistant' AND model_version_id IS NOT NULL;
"""

BACK = """
DROP FUNCTION feedback_note_message CASCADE;
DROP FUNCTION feedback_note_events CASCADE;
DROP FUNCTION feedback_note_trust CASCADE;
DROP FUNCTION feedback_note_vote CASCADE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0001_initial'),
        ('feedback', '0007_chat_webhooks'),
        ('inference', '0002_restores'),
    ]

    operations = [
        migrations.CreateModel(
            name='RollupDirty',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('message', models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name='AnswerTally',
            fields=[
                ('answers', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cut', models.BigIntegerField(default=0)),
                ('shown', models.BigIntegerField(default=0)),
                ('reacted', models.BigIntegerField(default=0)),
                ('good', models.BigIntegerField(default=0)),
                ('bad', models.BigIntegerField(default=0)),
                ('love', models.BigIntegerField(default=0)),
                ('like', models.BigIntegerField(default=0)),
                ('laugh', models.BigIntegerField(default=0)),
                ('dislike', models.BigIntegerField(default=0)),
                ('sad', models.BigIntegerField(default=0)),
                ('good_milli', models.BigIntegerField(default=0)),
                ('bad_milli', models.BigIntegerField(default=0)),
                ('reported', models.BigIntegerField(default=0)),
                ('complained', models.BigIntegerField(default=0)),
                ('copied', models.BigIntegerField(default=0)),
                ('regenerated', models.BigIntegerField(default=0)),
                ('edited', models.BigIntegerField(default=0)),
                ('shared', models.BigIntegerField(default=0)),
                ('followed', models.BigIntegerField(default=0)),
                ('helped', models.BigIntegerField(default=0)),
                ('misled', models.BigIntegerField(default=0)),
                ('wins', models.BigIntegerField(default=0)),
                ('losses', models.BigIntegerField(default=0)),
                ('ties', models.BigIntegerField(default=0)),
                ('both_bad', models.BigIntegerField(default=0)),
                ('prompt_tokens', models.BigIntegerField(default=0)),
                ('completion_tokens', models.BigIntegerField(default=0)),
                ('timed', models.BigIntegerField(default=0)),
                ('first_ms', models.BigIntegerField(default=0)),
                ('whole_ms', models.BigIntegerField(default=0)),
                ('writing_ms', models.BigIntegerField(default=0)),
                ('dwell_ms', models.BigIntegerField(default=0)),
                ('arm', models.CharField(blank=True, help_text='As it was when the answer ended.', max_length=10)),
                ('source', models.CharField(max_length=4)),
                ('message', models.UUIDField(primary_key=True, serialize=False)),
                ('person', models.BigIntegerField(help_text='A hash of whose conversation it is.')),
                ('at', models.DateTimeField(help_text='When the answer ended.')),
                ('model_version', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inference.modelversion')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='annotation.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'at'], name='tally_by_time')],
            },
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answers', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cut', models.BigIntegerField(default=0)),
                ('shown', models.BigIntegerField(default=0)),
                ('reacted', models.BigIntegerField(default=0)),
                ('good', models.BigIntegerField(default=0)),
                ('bad', models.BigIntegerField(default=0)),
                ('love', models.BigIntegerField(default=0)),
                ('like', models.BigIntegerField(default=0)),
                ('laugh', models.BigIntegerField(default=0)),
                ('dislike', models.BigIntegerField(default=0)),
                ('sad', models.BigIntegerField(default=0)),
                ('good_milli', models.BigIntegerField(default=0)),
                ('bad_milli', models.BigIntegerField(default=0)),
                ('reported', models.BigIntegerField(default=0)),
                ('complained', models.BigIntegerField(default=0)),
                ('copied', models.BigIntegerField(default=0)),
                ('regenerated', models.BigIntegerField(default=0)),
                ('edited', models.BigIntegerField(default=0)),
                ('shared', models.BigIntegerField(default=0)),
                ('followed', models.BigIntegerField(default=0)),
                ('helped', models.BigIntegerField(default=0)),
                ('misled', models.BigIntegerField(default=0)),
                ('wins', models.BigIntegerField(default=0)),
                ('losses', models.BigIntegerField(default=0)),
                ('ties', models.BigIntegerField(default=0)),
                ('both_bad', models.BigIntegerField(default=0)),
                ('prompt_tokens', models.BigIntegerField(default=0)),
                ('completion_tokens', models.BigIntegerField(default=0)),
                ('timed', models.BigIntegerField(default=0)),
                ('first_ms', models.BigIntegerField(default=0)),
                ('whole_ms', models.BigIntegerField(default=0)),
                ('writing_ms', models.BigIntegerField(default=0)),
                ('dwell_ms', models.BigIntegerField(default=0)),
                ('arm', models.CharField(blank=True, help_text='As it was when the answer ended.', max_length=10)),
                ('source', models.CharField(max_length=4)),
                ('grain', models.CharField(choices=[('minute', 'Minute'), ('hour', 'Hour'), ('day', 'Day'), ('week', 'Week')], max_length=6)),
                ('start', models.DateTimeField()),
                ('updated_at', models.DateTimeField()),
                ('model_version', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inference.modelversion')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='annotation.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'updated_at'], name='rollup_by_change')],
                'constraints': [models.UniqueConstraint(fields=('project', 'grain', 'start', 'model_version', 'arm', 'source'), name='rollup_once')],
            },
        ),
        migrations.CreateModel(
            name='RollupLatency',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('arm', models.CharField(blank=True, help_text='As it was when the answer ended.', max_length=10)),
                ('source', models.CharField(max_length=4)),
                ('grain', models.CharField(choices=[('minute', 'Minute'), ('hour', 'Hour'), ('day', 'Day'), ('week', 'Week')], max_length=6)),
                ('start', models.DateTimeField()),
                ('what', models.CharField(choices=[('first', 'To the first token'), ('whole', 'Whole')], max_length=5)),
                ('bucket', models.SmallIntegerField()),
                ('n', models.BigIntegerField(default=0)),
                ('model_version', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inference.modelversion')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='annotation.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'grain', 'start', 'what', 'model_version', 'arm', 'source', 'bucket'), name='rollup_latency_once')],
            },
        ),
        migrations.CreateModel(
            name='RollupPerson',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('arm', models.CharField(blank=True, help_text='As it was when the answer ended.', max_length=10)),
                ('source', models.CharField(max_length=4)),
                ('grain', models.CharField(choices=[('minute', 'Minute'), ('hour', 'Hour'), ('day', 'Day'), ('week', 'Week')], max_length=6)),
                ('start', models.DateTimeField()),
                ('person', models.BigIntegerField()),
                ('n', models.BigIntegerField(default=0)),
                ('model_version', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inference.modelversion')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='annotation.project')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('n__lte', 0)), fields=['n'], name='rollup_person_gone')],
                'constraints': [models.UniqueConstraint(fields=('project', 'grain', 'start', 'person', 'model_version', 'arm', 'source'), name='rollup_person_once')],
            },
        ),
        migrations.RunSQL(NOTES, BACK),
    ]
