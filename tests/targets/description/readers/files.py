"""Small core files of both generations that say the same, and a saved mapping, for the tests to break."""

from __future__ import annotations

NAMED = """
name: tiny
memories:
  rf:
    size: 16
    r_cost: 0.02
    w_cost: 0.03
    area: 0
    latency: 1
    operands: [O]
    ports:
      - {name: r_port_1, type: read, bandwidth_min: 16, bandwidth_max: 16, allocation: ["O, tl", "O, th"]}
      - {name: w_port_1, type: write, bandwidth_min: 16, bandwidth_max: 16, allocation: ["O, fh", "O, fl"]}
    served_dimensions: [D2]
  sram:
    size: 8192
    r_cost: 4
    w_cost: 5
    area: 1.5
    latency: 1
    operands: [I2, I1, O]
    ports:
      - name: r_port_1
        type: read
        bandwidth_min: 8
        bandwidth_max: 64
        allocation: ["O, th", "I1, tl", "I2, tl", "O, tl"]
      - name: w_port_1
        type: write
        bandwidth_min: 64
        bandwidth_max: 64
        allocation: ["I1, fh", "I2, fh", "O, fh", "O, fl"]
    served_dimensions: [D1, D2]
operational_array:
  unit_energy: 0.04
  unit_area: 1
  dimensions: [D1, D2]
  sizes: [8, 4]
dataflows:
  D1: ["K, 8"]
  D2: ["C, 2", "FX, 2"]
"""

COUNTED = """
name: tiny
memories:
  rf:
    size: 16
    r_bw: 16
    w_bw: 16
    r_cost: 0.02
    w_cost: 0.03
    area: 0
    r_port: 1
    w_port: 1
    rw_port: 0
    latency: 1
    operands: [O]
    ports:
      - {tl: r_port_1, th: r_port_1, fh: w_port_1, fl: w_port_1}
    served_dimensions: [D2]
  sram:
    size: 8192
    r_bw: 64
    w_bw: 64
    r_cost: 4
    w_cost: 5
    area: 1.5
    r_port: 1
    w_port: 1
    rw_port: 0
    latency: 1
    min_r_granularity: 8
    operands: [I2, I1, O]
    ports:
      - {fh: w_port_1, tl: r_port_1}
      - {fh: w_port_1, tl: r_port_1}
      - {th: r_port_1, fh: w_port_1, fl: w_port_1, tl: r_port_1}
    served_dimensions: [D1, D2]
operational_array:
  multiplier_energy: 0.04
  multiplier_area: 1
  dimensions: [D1, D2]
  sizes: [8, 4]
dataflows:
  D1: ["K, 8"]
  D2: ["C, 2", "FX, 2"]
"""

IMC = """
name: cim
memories:
  cells:
    size: 8
    r_cost: 0
    w_cost: 0.095
    area: 0
    operands: [I2]
    ports: [{name: rw_port_1, type: read_write, bandwidth_max: 8, allocation: ["I2, fh", "I2, tl"]}]
    served_dimensions: []
  sram:
    size: 8192
    r_cost: 4
    w_cost: 5
    area: 0
    operands: [I1, I2, O]
    ports:
      - name: rw_port_1
        type: read_write
        bandwidth_max: 64
        allocation: ["I1, tl", "I2, tl", "O, tl", "O, fl"]
    served_dimensions: [D1, D2]
operational_array:
  is_imc: true
  imc_type: analog
  input_precision: [8, 4]
  bit_serial_precision: 2
  adc_resolution: 6
  dimensions: [D1, D2]
  sizes: [16, 32]
"""

OFFCHIP = """
name: offchip
memories:
  dram:
    size: 1000000
    r_bw: 64
    w_bw: 32
    r_cost: 100
    w_cost: 110
    r_port: 0
    w_port: 0
    rw_port: 1
    operands: [I1, I2, O]
    ports:
      - {fh: rw_port_1, tl: rw_port_1}
      - {fh: rw_port_1, tl: rw_port_1}
      - {fh: rw_port_1, tl: rw_port_1, fl: rw_port_1, th: rw_port_1}
    served_dimensions: [D1, D2]
operational_array:
  multiplier_energy: 0
  dimensions: [D1, D2]
  sizes: [0, 0]
"""

SAVED = """
layers:
  - layer: conv_1
    core: analog
    spatial: {D1: {K: 8}, D2: {C: 2, FX: 3}}
    loops: [[C, 2], [OX, 4], [K, 3]]
    levels: {W: [0, 3], I: [2, 3], O: [1, 1, 3]}
"""


def changed(text: str, old: str, new: str) -> str:
    """Return ``text`` with one part replaced; a part that is not there is a slip in the test."""
    assert old in text, f"the test wants to break {old!r}, which is not there"
    return text.replace(old, new, 1)
