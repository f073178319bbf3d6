"""Networks without the channels that the schedule pays for and the answers hardly need."""
