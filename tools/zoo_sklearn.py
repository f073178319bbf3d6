"""Small models of scikit-learn as skl2onnx writes them, where it is installed; it is no dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

EXPECTED = {
    "sklearn_mlp.onnx": "ok",
    "sklearn_scaled_mlp.onnx": "ok",
    "sklearn_logistic.onnx": "ok",
    "sklearn_pca_logistic.onnx": "ok",
    "sklearn_forest.onnx": "operators of classical machine learning: ai.onnx.ml::TreeEnsembleClassifier",
}
"""What every verb but `run` shall say of each file."""
_FEATURES, _CLASSES, _ROWS = 16, 3, 60


def export(folder: Path) -> list[str]:
    """Train the models on random rows and write them; returns the names of the files."""
    from skl2onnx import to_onnx
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def mlp() -> Any:
        return MLPClassifier((16, 8), max_iter=5, random_state=0)

    models = {
        "sklearn_mlp": mlp(),
        "sklearn_scaled_mlp": make_pipeline(StandardScaler(), mlp()),
        "sklearn_logistic": LogisticRegression(),
        "sklearn_pca_logistic": make_pipeline(PCA(4), LogisticRegression()),
        "sklearn_forest": RandomForestClassifier(4, random_state=0),
    }
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(_ROWS, _FEATURES)).astype(np.float32)
    labels = np.arange(_ROWS) % _CLASSES
    for name, model in models.items():
        made = to_onnx(model.fit(rows, labels), rows[:1], options={"zipmap": False})
        onnx.save(made, folder / f"{name}.onnx")
    return sorted(f"{name}.onnx" for name in models)
