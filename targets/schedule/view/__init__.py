"""How a schedule is drawn and counted."""
