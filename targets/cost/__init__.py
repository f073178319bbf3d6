"""One layer on one core: cycles and energy."""
