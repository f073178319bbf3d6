"""A run directory as an application of Ray Serve: the files."""

from __future__ import annotations

from pathlib import Path

import yaml

from eecompile.server.engines.whole import files_of

APP, CONFIG, RUN = "app.py", "serve.yaml", "run"
DEPLOYMENT = "EarlyExitReplica"
_APP = '''"""An application of Ray Serve, written by `eecompile export`; `serve run serve.yaml` runs it."""

from pathlib import Path

from eecompile.server.engines.ray_app import application_of

application = application_of(Path(__file__).parent / {folder!r}, {name!r})
'''


def ray_files(run: Path, name: str) -> dict[str, bytes]:
    """Return the files of the application, by their place in its folder.

    Args:
        run: The run directory.
        name: Of the model, as clients call it, and of the application.

    Raises:
        InputError: No run with a trained network, or a damaged one.
    """
    application = {
        "name": name,
        "route_prefix": "/",
        "import_path": "app:application",
        "deployments": [{"name": DEPLOYMENT, "num_replicas": 1, "ray_actor_options": {"num_cpus": 1}}],
    }
    document = {
        "http_options": {"host": "127.0.0.1", "port": 8000},
        "applications": [application],
    }
    return {
        **{f"{RUN}/{place}": path.read_bytes() for place, path in files_of(run).items()},
        APP: _APP.format(folder=RUN, name=name).encode(),
        CONFIG: yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode(),
    }
