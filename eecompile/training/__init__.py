"""What heads see, and how they are trained."""
