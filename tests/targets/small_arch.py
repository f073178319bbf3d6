"""A small accelerator with arrays and memories, as text and as a description."""

from __future__ import annotations

from targets.description.architecture import Architecture, parse_architecture

_CORE = """
  - name: {name}
    kind: {kind}
    array: {{dimensions: {{D1: 4, D2: 4}}, operation_energy_pj: 0.1, known: placeholder, source: test}}
    memories:
      sums:
        {{size_bits: 32, read_energy_pj: 0.02, write_energy_pj: 0.02, operands: [O], served_dimensions: [D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 32, serves: [O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 32, serves: [O from_above, O from_below]}}]}}
      weights:
        {{size_bits: 65536, read_energy_pj: 4, write_energy_pj: 5, operands: [W], served_dimensions: [D1, D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 128, serves: [W to_below]}},
                 {{name: w, bandwidth_bits_per_cycle: 128, serves: [W from_above]}}]}}
      sram:
        {{size_bits: {sram_bits}, read_energy_pj: 8, write_energy_pj: 9, operands: [I, O],
         served_dimensions: [D1, D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 128, serves: [I to_below, O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 128,
                  serves: [I from_above, O from_above, O from_below]}}]}}
"""
_OFFCHIP = """
offchip:
  dram:
    {size_bits: 8000000000, read_energy_pj: 500, write_energy_pj: 600, operands: [I, W, O],
     ports: [{name: p, bandwidth_bits_per_cycle: 64,
              serves: [I from_above, I to_below, W from_above, W to_below,
                       O from_above, O to_below, O from_below, O to_above]}]}
"""


def small_text(sram_bits: int = 1 << 20, kinds: tuple[str, ...] = ("mac_array",)) -> str:
    """Return an accelerator of 4 x 4 units per core; cores are named by kind and place."""
    cores = "".join(
        _CORE.format(name=f"{kind}_{index}", kind=kind, sram_bits=sram_bits)
        for index, kind in enumerate(kinds)
    )
    return f"name: small\ncores:{cores}{_OFFCHIP}"


def small_arch(sram_bits: int = 1 << 20, kinds: tuple[str, ...] = ("mac_array",)) -> Architecture:
    """Return the accelerator of :func:`small_text`."""
    return parse_architecture(small_text(sram_bits, kinds), "small.yaml")
