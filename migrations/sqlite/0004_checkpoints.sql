-- The checkpoints of a thread, in order: a history is read without walking the timeline it lies in.
-- min_program_version: 0.1.0

CREATE INDEX runtime_events_checkpoints ON runtime_events (job_id, seq) WHERE event_type = 'checkpoint_saved';
