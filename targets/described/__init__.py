"""Any described accelerator as a target."""
