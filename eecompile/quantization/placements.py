"""Where layers may be wished to run, by name."""

AUTO, DIGITAL, ANALOG = "auto", "digital", "analog"
# What is known without a search.
PLAIN_PLACEMENTS = (AUTO, DIGITAL, ANALOG)
MIXED = "mixed"
PLACEMENTS = (*PLAIN_PLACEMENTS, MIXED)
