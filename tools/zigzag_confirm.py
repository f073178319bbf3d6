"""Let ZigZag evaluate mappings that were found elsewhere.

The script is run by the interpreter that ZigZag is installed in:
`python tools/zigzag_confirm.py JOBS RESULTS --model NAME=PATH`. JOBS is a JSON list of objects with
`hardware`, `network`, `layer` (as zigzag_recorder.py describes one), `spatial` (loops per array dimension)
and `temporal` (per operand and memory, loops from the innermost). RESULTS gets, in the same order,
`[latency, energy]`, or what ZigZag raised.
"""
# mypy: ignore-errors

import argparse
import copy
import json
import logging
from pathlib import Path

from zigzag.datatypes import LayerDim, LayerOperand, OADimension
from zigzag.hardware.architecture.imc_array import ImcArray
from zigzag.mapping.spatial_mapping import MappingSingleOADim, SpatialMapping
from zigzag.mapping.temporal_mapping import TemporalMapping, TemporalMappingType
from zigzag_recorder import (
    INPUTS,
    AcceleratorParserStage,
    CostModelEvaluation,
    CostModelEvaluationForIMC,
    CostModelStage,
    SpatialMappingConversionStage,
    distinct_layers,
    files,
    layer_record,
    load_model,
)


def evaluate(job, layer, accelerator):
    """Give latency and energy of a job's mapping of a parsed layer."""
    mapped = copy.copy(layer)
    unrolled = {d: {LayerDim(n): f for n, f in loops.items() if f > 1} for d, loops in job["spatial"].items()}
    mapped.spatial_mapping = SpatialMapping(
        {OADimension(d): MappingSingleOADim(m) for d, m in unrolled.items()}
    )
    sizes = accelerator.operational_array.dimension_sizes
    mapped.spatial_mapping.initialize_oa_dims(sizes)
    stage = SpatialMappingConversionStage([CostModelStage], accelerator=accelerator, layer=mapped)
    spatial, spatial_int = stage.convert_user_spatial_mapping(mapped.spatial_mapping)
    loops = {
        LayerOperand(op): [[(LayerDim(n), f) for n, f in level] for level in levels]
        for op, levels in job["temporal"].items()
    }
    is_imc = isinstance(accelerator.operational_array, ImcArray)
    evaluation = (CostModelEvaluationForIMC if is_imc else CostModelEvaluation)(
        accelerator=accelerator,
        layer=mapped,
        spatial_mapping=spatial,
        spatial_mapping_int=spatial_int,
        temporal_mapping=TemporalMapping(loops, mapped, TemporalMappingType.UNEVEN),
    )
    return [float(evaluation.latency_total2), float(evaluation.energy_total)]


def main():
    """Evaluate what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("jobs", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=PATH", help="add a network")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    paths = {name: INPUTS / "workload" / f"{name}.onnx" for name in ("resnet18", "mobilenetv2")}
    paths |= dict(item.split("=", 1) for item in args.model)
    accelerators, parsed, results = {}, {}, []
    for job in json.loads(args.jobs.read_text()):
        core, network = job["hardware"], job["network"]
        try:
            if (core, network) not in parsed:
                hardware, mapping = files(core)
                accelerators[core] = AcceleratorParserStage.parse_accelerator(hardware)
                layers = distinct_layers(load_model(paths[network]), mapping)
                parsed[core, network] = {json.dumps(layer_record(x), sort_keys=True): x for x in layers}
            layer = parsed[core, network][json.dumps(job["layer"], sort_keys=True)]
            results.append(evaluate(job, layer, accelerators[core]))
        except Exception as error:  # whatever the outside tool raises is the finding
            results.append(repr(error))
    args.results.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
