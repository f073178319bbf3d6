"""Target MAX78000 (Analog Devices): an accelerator of 64 processors beside a Cortex-M4."""
