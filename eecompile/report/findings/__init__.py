"""What follows from a run: what an image takes, what each model of the chip saves, what to change."""
