"""Record figures of ZigZag, the outside reference for one layer on one core.

The script is run by the interpreter that ZigZag is installed in, not by the project's own:
`python tools/zigzag_recorder.py OUT_DIR --model resnet8=PATH --model mobilenetv1=PATH`. It writes

* `zigzag_pairs.json.gz`: layers with mappings drawn at random and ZigZag's evaluation of each;
* `zigzag_best.json.gz`: the best mapping ZigZag finds for every layer of whole networks;
* `zigzag_imc.json.gz`: the same for the two in-memory-computing cores.

A record is made of a layer, a mapping and figures, all in plain JSON. Loops are `[dimension, size]` pairs,
innermost first. An entry of `word_accesses` is one memory level, counted as `[read towards the array,
written from the array, read towards the top, written from the top]`.
"""
# mypy: ignore-errors

import argparse
import copy
import gzip
import json
import logging
import random
import tempfile
import time
from importlib.metadata import version
from itertools import chain, product
from pathlib import Path

import onnx
import zigzag.api
from onnx import TensorProto, helper
from zigzag.api import (
    AcceleratorParserStage,
    CostModelStage,
    ExploitInterLayerDataLocalityStage,
    ONNXModelParserStage,
    SearchInterLayerDataLocalityStage,
    SpatialMappingGeneratorStage,
    TemporalMappingGeneratorStage,
    WorkloadStage,
)
from zigzag.cost_model.cost_model import CostModelEvaluation
from zigzag.cost_model.cost_model_imc import CostModelEvaluationForIMC
from zigzag.hardware.architecture.imc_array import ImcArray
from zigzag.mapping.data_movement import DataDirection
from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.opt.loma import memory_allocator
from zigzag.opt.loma.engine import LomaEngine
from zigzag.parser.onnx.onnx_model_parser import ONNXModelParser
from zigzag.stages.mapping.spatial_mapping_conversion import SpatialMappingConversionStage
from zigzag.stages.stage import Stage
from zigzag.workload.layer_node import LayerNode

SEED = 2024
LPF_LIMIT = 6
INPUTS = Path(zigzag.__file__).parent / "inputs"
MAPPING_OF = {
    "edge_tpu_like": "edge_tpu_like",
    "tpu_like": "tpu_like",
    "meta_prototype": "meta_prototype_like",
    "tesla_npu_like": "tesla_npu_like",
    "ascend_like": "ascend_like",
    "eyeriss_like": "default",
}
IMC = ("aimc", "dimc")
KINDS = ("pairs", "best", "imc")
NETWORKS = ("resnet8", "resnet18", "mobilenetv1", "mobilenetv2")
GEMM_MAPPING = "- name: default\n  spatial_mapping: {D1: ['K, 8'], D2: ['C, 8'], D3: ['D, 8']}\n"
TOO_SMALL = (memory_allocator.MemoryTooSmallException, memory_allocator.MemoryHierarchyTooSmallException)
DIRECTIONS = (
    DataDirection.RD_OUT_TO_LOW,
    DataDirection.WR_IN_BY_LOW,
    DataDirection.RD_OUT_TO_HIGH,
    DataDirection.WR_IN_BY_HIGH,
)
# Made-up convolutions: batch, channels in and out, height, width, kernel, stride, dilation, groups, bits.
CONVS = (
    (2, 10, 20, 33, 33, (5, 5), (2, 2), (2, 2), 1, {}),
    (1, 10, 20, 17, 17, (5, 5), (1, 1), (1, 1), 1, {}),
    (2, 20, 40, 27, 27, (3, 3), (2, 2), (1, 1), 4, {}),
    (1, 7, 11, 13, 19, (1, 1), (1, 1), (1, 1), 1, {}),
    (3, 33, 65, 15, 9, (3, 3), (1, 1), (2, 2), 1, {}),
    (1, 12, 12, 23, 23, (7, 7), (3, 3), (1, 1), 12, {}),
    (1, 48, 100, 14, 14, (1, 1), (2, 2), (1, 1), 1, {}),
    (2, 36, 18, 31, 11, (3, 3), (1, 2), (1, 1), 1, {}),
    (1, 5, 9, 41, 37, (2, 4), (2, 3), (3, 2), 1, {}),
    (4, 64, 64, 7, 7, (3, 3), (1, 1), (1, 1), 2, {"weight_size": 4}),
    (1, 17, 130, 29, 29, (3, 3), (1, 1), (1, 1), 1, {"act_size": 4, "output_size": 16}),
    (1, 24, 24, 50, 50, (3, 3), (1, 1), (1, 1), 24, {"weight_size": 2, "act_size": 5, "output_size": 14}),
)
# Matrix products: shape of the left operand, columns of the result, whether the right operand is constant.
MATMULS = (
    ((64, 64), 64, True),
    ((13, 20), 10, True),
    ((1, 128), 1000, True),
    ((50, 37), 91, False),
    ((128, 96), 64, False),
    ((2, 16, 24), 40, True),
    ((3, 17, 33), 9, False),
    ((1, 4, 32, 16), 32, False),
    ((2, 3, 49, 32), 49, False),
    ((2, 2, 21, 30), 14, True),
    ((1, 5), 3, True),
    ((8, 8), 8, False),
)


class NotingCostModelStage(CostModelStage):
    """Evaluate as ZigZag does and note the best evaluations of every layer on the side."""

    best: dict = {}

    def run(self):
        """Yield the evaluation after comparing it with the noted ones, ties broken as ZigZag breaks them."""
        for cme, extra in super().run():
            pair = (cme.latency_total2, cme.energy_total)
            for opt, key in (("latency", pair), ("energy", pair[::-1])):
                kept = self.best.get((opt, self.layer.id))
                if kept is None or key < kept[0]:
                    self.best[opt, self.layer.id] = (key, cme, self.layer.name)
            yield cme, extra


class DistinctLayerStage(Stage):
    """Search a layer unless an equal one met an equal memory hierarchy before; then note the same best."""

    seen: dict = {}

    def __init__(self, list_of_callables, *, accelerator, layer, **kwargs):
        super().__init__(list_of_callables, **kwargs)
        self.accelerator = accelerator
        self.layer = layer

    def run(self):
        """Yield what the stages below yield, and nothing for a layer already known."""
        hierarchy = self.accelerator.memory_hierarchy.mem_level_list
        levels = [(level.name, str(level.operands)) for level in hierarchy]
        first = self.seen.setdefault(json.dumps([layer_record(self.layer), levels]), self.layer.id)
        if first == self.layer.id:
            options = {"accelerator": self.accelerator, "layer": self.layer}
            yield from self.list_of_callables[0](self.list_of_callables[1:], **options, **self.kwargs).run()
            return
        best = NotingCostModelStage.best
        for opt in ("latency", "energy"):
            best[opt, self.layer.id] = (*best[opt, first][:2], self.layer.name)


def load_model(path):
    """Load a model without its weights, with shapes inferred and node names short enough for a file name."""
    model = onnx.load(str(path), load_external_data=False)
    for index, node in enumerate(model.graph.node):
        if len(node.name) > 100:
            node.name = f"{node.op_type}_{index}"
    return model if model.graph.value_info else onnx.shape_inference.infer_shapes(model)


def conv_model(batch, channels, kernels, height, width, kernel, strides, dilations, groups, bits):
    """Build a model of one unpadded convolution; `bits` holds ZigZag's own precision attributes."""
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=kernel, strides=strides, dilations=dilations, group=groups
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, channels, height, width))
    w = helper.make_tensor_value_info("w", TensorProto.FLOAT, (kernels, channels // groups, *kernel))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "conv", [x, w], [y])
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph))
    model.graph.node[0].attribute.extend(helper.make_attribute(*item) for item in bits.items())
    return model


def matmul_model(left, columns, constant):
    """Build a model of one matrix product; a right operand that is not constant comes from a node."""
    right = (*(() if constant else left[:-2]), left[-1], columns)
    op = "Gemm" if constant and len(left) == 2 else "MatMul"
    nodes = [helper.make_node("Relu", [name], [out]) for name, out in (("x", "a"), ("w", "b"))]
    nodes = nodes[:1] if constant else nodes
    nodes.append(helper.make_node(op, ["a", "w" if constant else "b"], ["y"]))
    shapes = {"x": left, "w": right, "a": left, "b": right, "y": (*left[:-1], columns)}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes.items()}
    inner = [infos["a"]] + ([] if constant else [infos["b"]])
    graph = helper.make_graph(nodes, "matmul", [infos["x"], infos["w"]], [infos["y"]], value_info=inner)
    return helper.make_model(graph)


def plain(number):
    """Turn a NumPy number into Python's own."""
    return number.item()


def loops(per_operand):
    """Turn ZigZag's loops per operand and level into plain lists."""
    return {str(op): [[[str(d), n] for d, n in lv] for lv in levels] for op, levels in per_operand.items()}


def layer_record(layer):
    """Describe a layer node: operator, loop sizes, index relations and precision."""
    relations = {
        str(r.dim_1): [[str(r.dim_2), r.coef_2], [str(r.dim_3), r.coef_3]] for r in layer.dimension_relations
    }
    return {
        "op": layer.type,
        "operands": [str(op) for op in layer.layer_operands],
        "dims": {str(dim): size for dim, size in layer.layer_dim_sizes.items()},
        "relations": relations,
        "pr_sizes": {str(dim): size for dim, size in layer.pr_layer_dim_sizes.items()},
        "bits": {str(op): bits for op, bits in layer.operand_precision.data.items()},
        "equation": layer.equation.data,
    }


def mapping_record(cme):
    """Describe the spatial and temporal mapping of an evaluation, and the memories of every operand."""
    temporal = loops(cme.temporal_mapping.mapping_dic_origin)
    links = cme.layer.memory_operand_links
    unrolling = cme.layer.spatial_mapping.items()
    memories = {
        str(op): [level.name for level in cme.mem_hierarchy_dict[links.layer_to_mem_op(op)]]
        for op in cme.layer.layer_operands
    }
    return {
        "spatial": {str(oa_dim): {str(d): n for d, n in single.items()} for oa_dim, single in unrolling},
        "spatial_levels": loops(cme.spatial_mapping.mapping_dict_origin),
        "spatial_levels_int": loops(cme.spatial_mapping_int.mapping_dict_origin),
        "temporal": temporal,
        "ordering": list(chain.from_iterable(next(iter(temporal.values())))),
        "memories": memories,
    }


def figures_record(cme):
    """Collect energy, latency and accesses of an evaluation; clock and area too for an in-memory core."""
    accesses = {
        str(op): [[level.get(direction) for direction in DIRECTIONS] for level in levels]
        for op, levels in cme.memory_word_access.items()
    }
    figures = {
        "energy": cme.energy_total,
        "mac_energy": cme.mac_energy,
        "latency": cme.latency_total2,
        "temporal_cycles": cme.ideal_temporal_cycle,
        "ideal_cycle": cme.ideal_cycle,
        "stall": cme.stall_slack_comb,
        "onload": cme.data_onloading_cycle,
        "offload": cme.data_offloading_cycle,
        "word_accesses": accesses,
        "mem_energy": {str(op): levels for op, levels in cme.mem_energy_breakdown.items()},
    }
    if isinstance(cme, CostModelEvaluationForIMC):
        figures |= {"tclk": cme.tclk, "tclk_breakdown": cme.tclk_breakdown, "area": cme.area_total}
        for name in ("mac_energy_breakdown", "imc_area_breakdown", "mem_area_breakdown"):
            figures[name] = getattr(cme, name)
    return figures


def record(cme):
    """Describe one evaluation: layer, mapping and figures."""
    return {"layer": layer_record(cme.layer), "mapping": mapping_record(cme), "figures": figures_record(cme)}


def write(path, kind, records):
    """Write records as compressed JSON in one step, so that a reader never sees half a file."""
    header = {"tool": "zigzag-dse", "version": version("zigzag-dse"), "kind": kind, "seed": SEED}
    data = json.dumps({"header": header | {"lpf_limit": LPF_LIMIT}, "records": records}, default=plain)
    scratch = path.with_suffix(".part")
    scratch.write_bytes(gzip.compress(data.encode(), mtime=0))
    scratch.replace(path)
    print(f"{path.name}: {len(records)} records, {path.stat().st_size} bytes", flush=True)


def distinct_layers(model, mapping):
    """Parse a model and yield one costed layer of every shape."""
    seen = set()
    for layer in ONNXModelParser(model, str(mapping)).run().topological_sort():
        key = json.dumps(layer_record(layer)) if isinstance(layer, LayerNode) else None
        if key is not None and key not in seen:
            seen.add(key)
            yield layer


def spatial_mappings(accelerator, layer):
    """Yield the layer with each of its spatial mappings, in ZigZag's fractional and integer form."""
    mixed = isinstance(accelerator.operational_array, ImcArray)
    options = {"accelerator": accelerator, "enable_mix_spatial_mapping_generation": mixed}
    stage = SpatialMappingGeneratorStage([CostModelStage], layer=layer, **options)
    for mapping in stage.generate_spatial_mappings():
        mapped = copy.copy(layer)
        mapped.spatial_mapping = mapping
        stage = SpatialMappingConversionStage([CostModelStage], accelerator=accelerator, layer=mapped)
        yield mapped, *stage.convert_user_spatial_mapping(mapping)


def random_pairs(accelerator, layer, rng, count):
    """Yield evaluations of up to `count` loop orderings per spatial mapping, each with its loop limit."""
    is_imc = isinstance(accelerator.operational_array, ImcArray)
    evaluation = CostModelEvaluationForIMC if is_imc else CostModelEvaluation
    for mapped, spatial, spatial_int in spatial_mappings(accelerator, layer):
        seen = []
        for _ in range(20):
            limit = rng.choice((4, 6, 8))
            options = {"accelerator": accelerator, "layer": mapped, "spatial_mapping": spatial}
            uneven = TemporalMappingType.UNEVEN
            engine = LomaEngine(**options, mapping_type=uneven, loma_lpf_limit=limit)
            engine.temporal_loop_dim_size = engine.get_temporal_loops()
            engine.update_min_lpf_factor(engine.temporal_loop_dim_size)
            engine.get_prime_factors()
            ordering = list(engine.lpfs)
            rng.shuffle(ordering)
            if len(seen) == count or ordering in seen:
                continue
            try:
                temporal = memory_allocator.MemoryAllocator(
                    accelerator, mapped, spatial, ordering, uneven
                ).run()
            except TOO_SMALL:
                continue
            seen.append(ordering)
            yield evaluation(**options, spatial_mapping_int=spatial_int, temporal_mapping=temporal), limit


def record_pairs(out, models, hardware):
    """Record random layer-mapping pairs of the given networks and of made-up layers."""
    records, made_up = [], [conv_model(*spec) for spec in CONVS]

    def add(core, mapping, network, sources, count):
        accelerator = AcceleratorParserStage.parse_accelerator(str(INPUTS / "hardware" / f"{core}.yaml"))
        rng = random.Random(f"{SEED}/{core}/{network}/{Path(mapping).stem}")
        for index, model in enumerate(sources):
            for layer in distinct_layers(copy.deepcopy(model), mapping):
                where = {"hardware": core, "mapping_file": Path(mapping).stem, "network": network}
                where |= {"node": layer.id if len(sources) == 1 else index}
                try:
                    for cme, limit in random_pairs(accelerator, layer, rng, count):
                        records.append(where | {"lpf_limit": limit} | record(cme))
                except (AssertionError, ValueError, KeyError) as error:
                    print(f"pairs: {where}: {error!r}", flush=True)

    for core in hardware:
        own, mixed = (INPUTS / "mapping" / f"{MAPPING_OF[core]}{end}.yaml" for end in ("", "_mixed"))
        for network, model in models.items():
            add(core, own, network, [model], 2)
        add(core, own, "made_up", made_up, 2)
        for network in ("resnet18", "mobilenetv1") if mixed.exists() else ():
            add(core, mixed, network, [models[network]], 1)
    with tempfile.TemporaryDirectory() as folder:
        gemm = Path(folder) / "gemm_square.yaml"
        gemm.write_text(GEMM_MAPPING)
        add("gemm_l1", gemm, "made_up", [matmul_model(*spec) for spec in MATMULS], 7)
    for core in IMC:
        add(core, INPUTS / "mapping" / "default_imc.yaml", "resnet18", [models["resnet18"]], 1)
    write(out / "zigzag_pairs.json.gz", "pairs", records)


def files(core):
    """Give the paths of a core and of its mapping file, as text."""
    mapping = INPUTS / "mapping" / f"{MAPPING_OF.get(core, 'default_imc')}.yaml"
    return str(INPUTS / "hardware" / f"{core}.yaml"), str(mapping)


def search(model, core, locality=False):
    """Search the mappings of a network with ZigZag's stages, without those that print and save."""
    accelerator, mapping = files(core)
    stages = [ONNXModelParserStage, AcceleratorParserStage, WorkloadStage]
    if locality:
        stages[2:] = [SearchInterLayerDataLocalityStage, WorkloadStage, ExploitInterLayerDataLocalityStage]
    stages += [DistinctLayerStage, SpatialMappingGeneratorStage, TemporalMappingGeneratorStage]
    stages.append(NotingCostModelStage)
    NotingCostModelStage.best.clear()
    DistinctLayerStage.seen.clear()
    first = stages[0](
        stages[1:],
        accelerator=accelerator,
        workload=copy.deepcopy(model),
        mapping=mapping,
        loma_lpf_limit=LPF_LIMIT,
        nb_mappings_generated=3,
        enable_mix_spatial_mapping_generation=core in IMC,
        temporal_mapping_type=TemporalMappingType.UNEVEN,
    )
    for _ in first.run():
        pass


def call_api(model, core, opt):
    """Call ZigZag's own entry point and give the CPU seconds it used."""
    accelerator, mapping = files(core)
    zigzag.api.CostModelStage = NotingCostModelStage
    NotingCostModelStage.best.clear()
    with tempfile.TemporaryDirectory() as folder:
        options = {"opt": opt, "dump_folder": folder, "lpf_limit": LPF_LIMIT, "loma_show_progress_bar": False}
        start = time.process_time()
        zigzag.api.get_hardware_performance_zigzag(copy.deepcopy(model), accelerator, mapping, **options)
        return time.process_time() - start


def result(where, opt, cpu):
    """Describe the noted best evaluations of a network; layers with equal records are given once."""
    best = sorted(NotingCostModelStage.best.items(), key=lambda item: item[0][1])
    cmes = [(node, name, cme) for (of, node), (_, cme, name) in best if of == opt]
    layers = {}
    for node, name, cme in cmes:
        body = record(cme)
        same = layers.setdefault(json.dumps(body, default=plain), {"nodes": [], "names": []} | body)
        same["nodes"].append(node)
        same["names"].append(name)
    energy, latency = sum(cme.energy_total for *_, cme in cmes), sum(cme.latency_total2 for *_, cme in cmes)
    totals = {"opt": opt, "cpu_s": cpu, "energy": energy, "latency": latency}
    return where | totals | {"layers": list(layers.values())}


def record_best(out, models, args):
    """Record the best mappings of every network on every core, keeping what an earlier run has written.

    One pass over the mappings yields the best for both criteria, so the call for latency also writes the
    record for energy, without CPU seconds; the call for energy then adds these. A network in `args.quick` is
    searched by its distinct layers only, and has no CPU seconds.
    """
    path = out / "zigzag_best.json.gz"
    old = json.loads(gzip.decompress(path.read_bytes()))["records"] if path.exists() else []
    records = {(r["hardware"], r["network"], r["opt"]): r for r in old}
    groups = [NETWORKS[:2], NETWORKS[2:3], NETWORKS[3:]]
    for opt, group, core in product(args.opts, groups, args.hardware):
        for network in (name for name in group if name in models):
            known = records.get((core, network, opt))
            if known and (network in args.quick or known["cpu_s"] is not None):
                continue
            where = {"hardware": core, "mapping_file": Path(files(core)[1]).stem, "network": network}
            cpu = None
            if network not in args.quick:
                try:
                    cpu = call_api(models[network], core, opt)
                except Exception as error:  # whatever the outside tool raises is the finding
                    where["error"] = repr(error)
            if cpu is None:
                search(models[network], core)
            for of in ("latency", "energy"):
                if of == opt or (core, network, of) not in records:
                    records[core, network, of] = result(where, of, cpu if of == opt else None)
            print(core, network, opt, cpu, where.get("error", ""), flush=True)
            write(path, "best", list(records.values()))


def record_imc(out, models):
    """Record the best mappings on the in-memory cores, without and with data kept between layers."""
    records, path = [], out / "zigzag_imc.json.gz"
    for locality, network, core in product((False, True), ("resnet18", "resnet8"), IMC):
        where = {"hardware": core, "mapping_file": "default_imc", "network": network, "locality": locality}
        try:
            search(models[network], core, locality)
            records += [result(where, opt, None) for opt in ("latency", "energy")]
        except Exception as error:  # whatever the outside tool raises is the finding
            records.append(where | {"error": repr(error)})
        print(where, records[-1].get("error", ""), flush=True)
        write(path, "imc", records)


def main():
    """Record what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--what", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--model", action="append", default=[], metavar="NAME=PATH", help="add a network")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--hardware", nargs="+", choices=list(MAPPING_OF), default=list(MAPPING_OF))
    parser.add_argument("--quick", nargs="*", default=[], help="networks searched without CPU seconds")
    parser.add_argument("--opts", nargs="+", choices=("latency", "energy"), default=["latency", "energy"])
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    paths = {name: INPUTS / "workload" / f"{name}.onnx" for name in ("resnet18", "mobilenetv2")}
    paths |= dict(item.split("=", 1) for item in args.model)
    models = {name: load_model(paths[name]) for name in args.networks if name in paths}
    args.out.mkdir(parents=True, exist_ok=True)
    if "pairs" in args.what:
        record_pairs(args.out, models, args.hardware)
    if "best" in args.what:
        record_best(args.out, models, args)
    if "imc" in args.what:
        record_imc(args.out, models)


if __name__ == "__main__":
    main()
