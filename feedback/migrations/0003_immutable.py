"""What people read and what they said about it cannot be changed afterwards, by any code path."""

from django.db import migrations

MESSAGES = """
CREATE FUNCTION feedback_message_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('complete', 'stopped', 'failed') AND (
        NEW.text IS DISTINCT FROM OLD.text
        OR NEW.role IS DISTINCT FROM OLD.role
        OR NEW.state IS DISTINCT FROM OLD.state
        OR NEW.parent_id IS DISTINCT FROM OLD.parent_id
        OR NEW.conversation_id IS DISTINCT FROM OLD.conversation_id
        OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id
        OR NEW.sampling IS DISTINCT FROM OLD.sampling
    ) THEN
        RAISE EXCEPTION 'message % is final and cannot be changed', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER feedback_message_keep BEFORE UPDATE ON feedback_message
    FOR EACH ROW EXECUTE FUNCTION feedback_message_keep();
"""

EVENTS = """
CREATE FUNCTION feedback_event_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'weight' IS DISTINCT FROM to_jsonb(OLD) - 'weight' THEN
        RAISE EXCEPTION 'event % cannot be changed; add another event', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER feedback_event_keep BEFORE UPDATE ON feedback_event
    FOR EACH ROW EXECUTE FUNCTION feedback_event_keep();

-- Looked at when the transaction ends: an event may go together with its message or its person.
CREATE FUNCTION feedback_event_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM feedback_message WHERE id = OLD.message_id)
        AND (OLD.actor_id IS NULL OR EXISTS (SELECT 1 FROM config_user WHERE id = OLD.actor_id))
    THEN
        RAISE EXCEPTION 'event % cannot be deleted; take it back with another event', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER feedback_event_stay AFTER DELETE ON feedback_event
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION feedback_event_stay();
"""

BACK = """
DROP TRIGGER feedback_message_keep ON feedback_message;
DROP FUNCTION feedback_message_keep;
DROP TRIGGER feedback_event_keep ON feedback_event;
DROP FUNCTION feedback_event_keep;
DROP TRIGGER feedback_event_stay ON feedback_event;
DROP FUNCTION feedback_event_stay;
"""


class Migration(migrations.Migration):
    dependencies = [("feedback", "0002_source"), ("config", "0001_initial")]

    operations = [
        migrations.RunSQL(MESSAGES, migrations.RunSQL.noop),
        migrations.RunSQL(EVENTS, BACK),
    ]
