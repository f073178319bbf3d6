"""MAX78000: an accelerator of 64 processors that keeps all weights, and a Cortex-M4 that starts it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from targets.contract.closed_form import ClosedFormCosts, ClosedFormTarget
from targets.contract.target import Constraint, CostModel, Demand, Shortage, Support
from targets.cost import elementwise
from targets.cost.layer_cost import LayerCost, energy_pj, scaled
from targets.description.architecture import Architecture, load_architecture
from targets.description.figure import Known
from targets.max78000 import constraints
from targets.max78000.jobs import jobs_of, workspace_bytes
from targets.max78000.memories import block_of, words_needed
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import Machine
from targets.schedule.network import has_weights, weights_name

# Pooling windows that are read in front of a convolution.
MAX_FRONT = 16
_KNOWN_ERROR = (
    "the vendor's counts are met to the cycle; of four networks whose times on the board the vendor "
    "publishes, the closed form predicts 0.3 to 2.0 % less, and nothing was fitted to them. Energy is the "
    "mean power of three published measurements, 35 to 64 mW, times time: EDP is latency squared where the "
    "host does little. Host work and what it takes to go on with the next stage are placeholders"
)


@functools.cache
def _architecture() -> Architecture:
    return load_architecture(Path(__file__).parent / "hardware.yaml")


@dataclass(frozen=True)
class Max78000Target(ClosedFormTarget):
    """MAX78000 with the accelerator at 50, 60 or 25 MHz; layers follow one another."""

    name: ClassVar[str] = "max78000"
    cost_models: ClassVar[Mapping[str, CostModel]] = {
        "izer": CostModel(
            "closed form of the vendor's tools (ai8x-synthesis); host work by this project", _KNOWN_ERROR
        ),
    }
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cnn": ("int8-pow2",), "host": ("int8-pow2",)}
    outer_memory: ClassVar[str] = "data"
    word_bits: ClassVar[int] = 32
    fusion: ClassVar[str] = f"fuse-layers{{before={MAX_FRONT}}}"
    rules: ClassVar[Mapping[str, Support]] = constraints.MAX78000
    hints: ClassVar[Mapping[Constraint, str]] = constraints.HINTS
    demands: ClassVar[Mapping[Constraint, Demand]] = constraints.DEMANDS

    @property
    def arch(self) -> Architecture:
        """The description in ``hardware.yaml``."""
        return self.changed or _architecture()

    def costs(self, machine: Machine, workload: Workload) -> ClosedFormCosts:  # noqa: ARG002
        """Return the costs of whole layers; weights are where they are needed and cost no fetching."""
        return ClosedFormCosts(self)

    def beyond(self, workload: Workload) -> Mapping[str, int]:
        """Return all weights: none lies in the data memories."""
        return {weights_name(layer): 0 for layer in workload.layers if has_weights(layer)}

    def warnings(self, workload: Workload) -> tuple[str, ...]:  # noqa: ARG002
        """Weights do not come from elsewhere: there is nothing to tell."""
        return ()

    def workspace_bits(self, layer: Layer, core: str) -> int:
        """Return the outputs at stride 1 that are thinned out before the next layer runs."""
        return 8 * workspace_bytes(layer) if core == "cnn" else 0

    def shortages(self, workload: Workload) -> tuple[Shortage, ...]:
        """Return which of weight memory, bias memory and layers the network needs more than there is."""
        cnn, taken = self.arch.core("cnn"), [layer for layer in workload.layers if self._accelerated(layer)]
        found = []
        words = words_needed(block for layer in taken if (block := block_of(layer)) is not None)
        if words > cnn.rate("weight_words"):
            found.append(
                Shortage(
                    f"its weights need {words:,} words of 72 bits of a processor's weight memory, "
                    f"there are {cnn.rate('weight_words'):,.0f}",
                    "use narrower weights (4, 2 or 1 bits) or fewer channels",
                )
            )
        biases = sum(layer.bias.elements for layer in taken if layer.bias is not None)
        if biases > cnn.rate("bias_bytes"):
            found.append(
                Shortage(
                    f"it has {biases:,} biases, there is room for {cnn.rate('bias_bytes'):,.0f}",
                    "leave biases away where a layer does without",
                )
            )
        found += self._long_stages(workload)
        return tuple(found)

    def _long_stages(self, workload: Workload) -> list[Shortage]:
        """Return the stages with more layers than the accelerator runs before it is configured anew."""
        most, found = self.arch.core("cnn").rate("max_layers"), []
        for path, stage in zip(workload.exits, workload.stages(), strict=True):
            layers = [workload.layers[i] for i in stage]
            jobs = sum(len(jobs_of(layer)) for layer in layers if self._accelerated(layer))
            if jobs > most:
                found.append(
                    Shortage(
                        f"up to exit '{path.name}' it has {jobs} layers, there may be {most:.0f} at a time",
                        "put an exit in between: each stage is a network of its own",
                    )
                )
        return found

    def _accelerated(self, layer: Layer) -> bool:
        rules = self.rules["cnn"].get(layer.op_type)
        return rules is not None and all(rule(layer, self.arch) for rule in rules)

    def cost(self, layer: Layer, core: str) -> LayerCost:
        """Return cycles and energy of ``layer`` on ``core``; see README.md for the model."""
        return self._accelerator_cost(layer) if core == "cnn" else self._host_cost(layer)

    def _accelerator_cost(self, layer: Layer) -> LayerCost:
        jobs = jobs_of(layer)
        cycles = sum(job.cycles for job in jobs)
        ideal = layer.macs / self.arch.core("cnn").rate("macs_per_cycle")
        known: Known = "placeholder" if any(job.depthwise for job in jobs) else self.known
        return LayerCost(
            compute_cycles=cycles,
            dma_cycles=0,
            host_cycles=0,
            job_cycles=0,
            energy_pj=self._energy("cnn", cycles),
            utilization=min(1.0, ideal / cycles),
            bound_cycles=min(max(1, math.ceil(ideal)), cycles),
            known=known,
        )

    @property
    def known(self) -> Known:
        """How the cycles of the accelerator are known."""
        return "published"

    def _host_cost(self, layer: Layer) -> LayerCost:
        host = self.arch.core("host")
        full = elementwise.host_cycles(
            layer, host.rate("cycles_per_element"), host.rate("cycles_per_exponential")
        )
        cycles = scaled(full, self.host_scale)
        goes_on = layer.exit_name is not None
        jobs = scaled(host.rate("cycles_per_stage"), self.host_scale) if goes_on else 0
        return LayerCost(
            compute_cycles=0,
            dma_cycles=0,
            host_cycles=cycles,
            job_cycles=jobs,
            energy_pj=self._energy("host", cycles + jobs),
            utilization=cycles / (cycles + jobs) if cycles else 0.0,
            bound_cycles=cycles,
            known="placeholder",
        )

    def _energy(self, core: str, cycles: int) -> float:
        clock_hz, power_mw = self.arch.clock_hz, self.arch.core(core).active_power_mw
        if clock_hz is None or power_mw is None:
            raise ValueError(f"energy is power times time: {core} needs a power and the chip a clock")
        return energy_pj(power_mw.value, cycles, clock_hz)
