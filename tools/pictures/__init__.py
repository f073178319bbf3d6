"""Pictures of what users see, for the documentation."""
