"""What a run found out that does not have to be found out again."""
