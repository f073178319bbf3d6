"""A search as a study that is kept: who proposes candidates, who works on them, and what came out."""
