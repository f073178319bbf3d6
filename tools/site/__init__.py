"""What the pages of the site are made of beside their text: see docs/conf.py."""
