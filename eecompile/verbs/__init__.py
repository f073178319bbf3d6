"""One function per verb beside the main job."""
