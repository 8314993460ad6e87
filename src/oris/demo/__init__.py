"""The main job, shown on real input: a server, two workers, one of them killed, and the proof that nothing was lost."""
