"""All that a run finds out, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Dataset
from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.deployment.model_files import Forms
from eecompile.deployment.proof import Agreement
from eecompile.exits.answers import Answers
from eecompile.exits.choice import ExitChoice
from eecompile.exits.proxies import ProxyChoice
from eecompile.run.clock import Clock
from eecompile.run.finished import Finished
from eecompile.run.options import RunOptions
from eecompile.run.other_models import Recosted
from eecompile.run.prepare import Prepared
from eecompile.run_files.summary import GuaranteeInfo, Summary
from eecompile.runtime.preprocess import Preprocess
from targets.evaluation.report import CostReport


@dataclass(frozen=True)
class Baseline:
    """The static network, where it is none of the networks with exits: as it was given, or trained alone.

    Attributes:
        quantized: In Q/DQ form.
        lowered: With integer operators.
    """

    quantized: gs.Graph
    lowered: gs.Graph


@dataclass
class Pruned:
    """The network was pruned before exits were put in.

    Attributes:
        given: The static network, as it was given: what savings and drops are against.
        info: How it was pruned, as it stands in ``run.json``.
        costs: Of the pruned network without exits, lowered.
    """

    given: gs.Graph
    info: dict[str, Any]
    costs: CostReport = field(init=False)


@dataclass
class Evidence:
    """One run in its work directory. What a step finds out is there for all steps behind it.

    Attributes:
        options: What was asked for.
        prepared: The network with all exits to try, costed; its heads are trained in place.
        clock: Wall time, and who is told of progress.
        work: Where files are written.
        checkpoints: Where the training of a step is kept while it is not over; ``None``: nowhere.
        model_sha256: Of the user's file, where that need not be there any more; else empty.
        test_at: Positions of the test images that ``dataset`` holds, where it does not hold all.
        taken: Names of the steps that were done before, and taken from the cache.
        finished: What a search found of the network, which is delivered so; ``None`` where there was none.
        pruned: How the network was pruned, and the static one as it was given; ``None`` where it was not.
        dataset: The images.
        tried: Preprocessing rules that were tried, and the one taken.
        training: How heads were trained.
        quantized: The network with all exits in Q/DQ form.
        lowered: The same with integer operators.
        calibration: How it was quantized.
        baseline: The static network where its weights are others than those that were trained with the exits.
        calibrated: The lowered network as calibration left it, where it was then trained for its integers.
        val: Answers of the lowered network on val.
        float_test: Answers of the float network on test.
        quant_test: Answers of the quantized network on test.
        lowered_test: Answers of the lowered network on test.
        seen: Form of the network (``float``, ``ptq``, ``qat``) -> its answers on val and on test.
        chosen: The exits and thresholds of the files.
        guarantee: What is promised of the drop; ``None`` where that was not asked for.
        proxies: What had been chosen by MACs.
        notes: What the user is told first of the choice.
        forms: The network of the files.
        agreement: How the files answered test images, against the flat lowered network.
        measured: How long they took in onnxruntime.
        recosted: Costs of the network and of static by other models of the chip.
        costs: Costs of the network of the files.
        static: Costs of the network without exits.
        summary: All of it in figures.
        info: How it was found.
    """

    options: RunOptions
    prepared: Prepared
    clock: Clock
    work: Path
    checkpoints: Path | None = None
    finished: Finished | None = None
    taken: list[str] = field(default_factory=list)
    model_sha256: str = ""
    test_at: NDArray[np.int64] | None = None
    pruned: Pruned | None = None
    dataset: Dataset = field(init=False)
    tried: PreprocessChoice = field(init=False)
    training: dict[str, Any] = field(init=False)
    quantized: gs.Graph = field(init=False)
    lowered: gs.Graph = field(init=False)
    calibration: dict[str, Any] = field(init=False)
    baseline: Baseline | None = field(init=False)
    calibrated: gs.Graph | None = field(init=False)
    val: Answers = field(init=False)
    float_test: Answers = field(init=False)
    quant_test: Answers = field(init=False)
    lowered_test: Answers = field(init=False)
    seen: dict[str, tuple[Answers, Answers]] = field(init=False)
    chosen: ExitChoice = field(init=False)
    guarantee: GuaranteeInfo | None = field(init=False)
    proxies: tuple[ProxyChoice, ...] = field(init=False)
    notes: list[str] = field(init=False)
    forms: Forms = field(init=False)
    agreement: Agreement = field(init=False)
    measured: dict[str, Any] = field(init=False)
    recosted: tuple[Recosted, ...] = field(init=False)
    costs: CostReport = field(init=False)
    static: CostReport = field(init=False)
    summary: Summary = field(init=False)
    info: dict[str, Any] = field(init=False)

    @property
    def at_hand(self) -> NDArray[np.int64]:
        """Positions of the test images that can be looked at."""
        return np.arange(len(self.dataset.test)) if self.test_at is None else self.test_at

    @property
    def preprocess(self) -> Preprocess:
        """From stored images to the model's input."""
        return self.tried.preprocess

    @property
    def given(self) -> gs.Graph:
        """The static network in float: without exits, and before it was pruned."""
        return self.prepared.plain if self.pruned is None else self.pruned.given

    @property
    def kept(self) -> tuple[int, ...]:
        """Positions of the exits of the files among those that were tried."""
        return self.chosen.figures.kept
