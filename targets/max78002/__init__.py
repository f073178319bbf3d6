"""Target MAX78002 (Analog Devices): the larger sibling of MAX78000."""
