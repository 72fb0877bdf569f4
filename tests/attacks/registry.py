"""All attacks, kind by kind."""

from __future__ import annotations

from tests.attacks import (
    bundles,
    configs,
    ended,
    nifti,
    privacy,
    runs,
    server,
    tables,
    visits,
    weights,
    workflow,
    working_folder,
    writers,
)

ATTACKS = [
    *tables.ATTACKS,
    *nifti.ATTACKS,
    *bundles.ATTACKS,
    *weights.ATTACKS,
    *visits.ATTACKS,
    *configs.ATTACKS,
    *server.ATTACKS,
    *privacy.ATTACKS,
    *writers.ATTACKS,
    *ended.ATTACKS,
    *runs.ATTACKS,
    *working_folder.ATTACKS,
    *workflow.ATTACKS,
]
