"""Complete mappings as a run saves them: written, read back, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from targets.description.mapping import Mapping, MappingRule
from targets.description.readers.mapping import parse_mapping, read_mapping
from targets.description.readers.saved_mapping import SavedMapping, mapping_text
from tests.targets.description.readers.files import SAVED, changed

CORES = dict.fromkeys(("digital", "analog", "pooling"), ("D1", "D2", "D3"))


def test_saved_mappings_are_fixed(tmp_path: Path) -> None:
    path = tmp_path / "saved.yaml"
    path.write_text(SAVED)
    fixed = Mapping(
        spatial={"D1": {"K": 8}, "D2": {"C": 2, "FX": 3}},
        loops=(("C", 2), ("OX", 4), ("K", 3)),
        levels={"W": (0, 3), "I": (2, 3), "O": (1, 1, 3)},
    )
    assert read_mapping(path, CORES) == ((MappingRule("conv_1", cores=(1,), fixed=fixed),), ())


NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(bool).filter(str.isprintable)
LOOPS = st.lists(
    st.tuples(st.sampled_from(["K", "C", "OX", "OY", "FX", "FY"]), st.integers(1, 512)), max_size=5
)


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    loops = tuple(draw(LOOPS))
    inner = st.lists(st.integers(0, len(loops)), max_size=3).map(sorted)
    operands = draw(st.sampled_from(["WIO", "IO"]))
    return Mapping(
        spatial=draw(st.dictionaries(st.sampled_from(["D1", "D2"]), LOOPS.map(dict))),
        loops=loops,
        levels={operand: (*draw(inner), len(loops)) for operand in operands},
    )


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, mappings(), max_size=3))
def test_text_reads_back_as_written(layers: dict[str, Mapping]) -> None:
    saved = [SavedMapping(layer, "digital", mapping) for layer, mapping in layers.items()]
    rules, notes = parse_mapping(mapping_text(saved), "saved.yaml", CORES)
    assert rules == tuple(MappingRule(s.layer, cores=(0,), fixed=s.mapping) for s in saved)
    again = [SavedMapping(rule.name, list(CORES)[rule.cores[0]], rule.fixed) for rule in rules if rule.fixed]
    assert mapping_text(again) == mapping_text(saved) and not notes


def test_exchanged_memories_are_saved_with_the_mapping() -> None:
    links = {"W": "I", "I": "W"}
    entry = SavedMapping("add_0", "digital", Mapping({}, (("G", 4),), {"I": (1,), "O": (1,)}), links)
    (rule,) = parse_mapping(mapping_text([entry]), "saved.yaml", CORES)[0]
    assert rule.links == links and rule.fixed == entry.mapping


@pytest.mark.parametrize(
    ("links", "right"),
    [
        ("{W: W, I: I}", True),
        ("{I: W, W: I}", True),
        ("{W: I}", False),
        ("{W: I, O: W}", False),
        ("{W: I, I: I}", False),
        ("{W: I, I: W, O: O}", False),
    ],
)
def test_inputs_exchange_their_memories_or_keep_them(links: str, right: bool) -> None:
    text = changed(SAVED, "    loops:", f"    links: {links}\n    loops:")
    if right:
        ((rule,), _) = parse_mapping(text, "saved.yaml", CORES)
        assert rule.links == yaml.safe_load(links)
        return
    with pytest.raises(InputError, match=r"layers\[0\]\.links: W and I exchange their memories"):
        parse_mapping(text, "saved.yaml", CORES)


WRONG = {
    "dimension": (SAVED, "D1: {K", "D7: {K", "layers[0].spatial.D7: no core it is for has such"),
    "layer": (SAVED, "layer: conv_1", "layer:", "layers[0].layer: is missing"),
    "core": (SAVED, "core: analog", "core: analogue", "did you mean 'analog'"),
    "twice": (SAVED + SAVED[9:], "", "", "layers[1].layer: 'conv_1' is there twice"),
    "factor": (SAVED, "{K: 8}", "{K: 0}", "layers[0].spatial.D1.K: must be a finite number >= 1"),
    "loop": (SAVED, "[C, 2]", "[C]", "layers[0].loops[0]: has 1 entries"),
    "levels": (SAVED, "I: [2, 3], ", "", "layers[0].levels.I: is missing"),
    "order": (SAVED, "O: [1, 1, 3]", "O: [2, 1, 3]", "layers[0].levels.O[1]: 1 is less than 2"),
    "key": (SAVED, "    core:", "    cores: 1\n    core:", "layers[0].cores: unknown key"),
    "loop name": (SAVED, "[OX, 4]", "[ox, 4]", "layers[0].loops[1][0]: 'ox' is no loop name"),
    "unrolled loop": (SAVED, "{K: 8}", "{k: 8}", "layers[0].spatial.D1.k: 'k' is no loop name"),
    "no levels": (SAVED, "I: [2, 3]", "I: []", "layers[0].levels.I: needs 1 or more entries"),
    "negative": (SAVED, "I: [2, 3]", "I: [-1, 3]", "layers[0].levels.I[0]: must be a finite number >= 0"),
    "too many": (SAVED, "I: [2, 3]", "I: [2, 4]", "must hold all 3 loops, not 4\nwrite 3"),
    "outermost": (
        SAVED,
        "W: [0, 3]",
        "W: [0, 2]",
        "layers[0].levels.W[1]: the outermost level must hold all 3",
    ),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_mappings_name_the_path(text: str, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_mapping(changed(text, old, new), "map.yaml", CORES)
    assert caught.value.message.startswith("map.yaml: ") and message in str(caught.value)
