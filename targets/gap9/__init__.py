"""GAP9, a RISC-V cluster with the convolution engine NE16."""
