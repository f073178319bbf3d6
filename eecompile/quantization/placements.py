"""Where layers may be wished to run, by name."""

AUTO, DIGITAL, ANALOG = "auto", "digital", "analog"
PLACEMENTS = (AUTO, DIGITAL, ANALOG)
