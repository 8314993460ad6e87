"""The main job, shown on real input: two workers, one of them killed, and the proof that no recorded step was lost."""
