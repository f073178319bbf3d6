"""Tell what each part of joint training is worth: the default, and the default with one part changed.

    python -m tools.experiments.joint_parts MODEL --data D --out FOLDER --epochs N [--train joint|scratch]
        [--head conv{size=16,modules=2}] [--seed 0] [--threads 1] [--only PART …]

Each row is one training of N epochs by `tools.experiments.joint_training`; its files stay. All is seen on val
alone: it chooses the default. Told are the accuracy of each exit, and the MACs saved by the best exits and
thresholds, answers recycled, mean over limits of 0.5, 1, 1.5 and 2 points: one limit alone is decided by one
image in some hundred.
"""

from __future__ import annotations

import numpy as np

from eecompile.training.recipe import JOINT, SCRATCH
from tools.experiments.joint_training import Row, arguments, one, opened

LIMITS = (0.5, 1.0, 1.5, 2.0)
# Part -> what is changed. From fresh weights there is no teacher, nothing to keep: `TAUGHT` is for others.
PARTS = {
    "the default": "",
    "gradient equilibrium": "balance=equilibrium",
    "exits weigh by depth": "exit_weights=rising",
    "mixed regime: backbone alone for a third": "backbone_first=0.34",
    "final exit teaches, share .3": "final_share=0.3",
    "no average of weights": "average=0",
    "no moving, no mirroring": "shift=0,mirror=no",
    "cutout of a quarter of the side": "cutout=0.25",
    "labels smoothed by .1": "smoothing=0.1",
    "SGD, rate .05": "optimizer=sgd,rate=0.05",
    "no normalization in training": "batch_norm=nowhere",
}
TAUGHT = {
    "no teacher": "teacher_share=0,final_teacher_share=0",
    "labels for half of the final exit": "final_teacher_share=0.5",
    "backbone as fast as heads": "backbone_rate=1",
}


def line(part: str, row: Row) -> str:
    """Return one line of the table."""
    saved = [100 * found["val"]["saved"] if "val" in found else 0.0 for found in row["recycled"]]
    right = " ".join(f"{100 * a:.1f}" for a in row["accuracy"]["val"])
    static = 100 * row["static"]["val"]
    return f"| {part} | {right} | {static:.1f} | {np.mean(saved):.1f} % | {row['seconds']:.0f} |"


def main() -> None:
    """Train by each recipe and print the table."""
    parser = arguments(__doc__ or "", "3", "conv{size=16,modules=2}", (JOINT, SCRATCH))
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="PART")
    options = parser.parse_args()
    options.max_drops = LIMITS
    data, preprocess = opened(options)
    parts = PARTS if options.train == SCRATCH else PARTS | TAUGHT
    if unknown := sorted(set(options.only or ()) - set(parts)):
        parser.error(f"no part '{unknown[0]}': {', '.join(parts)}")
    print(f"{len(data.train):,} train, {len(data.val):,} val images of {data.name}, {options.epochs} epochs")
    print(
        "| part | exits on val, % | static | MACs saved on val | seconds |\n|---|---|---|---|---|", flush=True
    )
    for number, (part, change) in enumerate(parts.items()):
        if options.only and part not in options.only:
            continue
        text = f"part{number}:epochs={options.epochs}{',' if change else ''}{change}"
        print(line(part, one(options, data, preprocess, text, options.seed)), flush=True)


if __name__ == "__main__":
    main()
