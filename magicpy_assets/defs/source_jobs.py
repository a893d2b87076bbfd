"""Jobs of a source: over its own cells, together with what all sources share.

A source has the periods in which it was observed; forests, OFF data and Monte Carlo have those of all sources. The jobs
that Dagster makes by itself hold assets of one partitioning only, though it runs others too, as it does for whatever is
selected on the page. So these are put together here, from two functions that Dagster does not export (its version is
pinned), and have the partitions of their source: each of them is a cell of everything in the job.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import build_asset_job, get_asset_graph_for_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


class SourceJob(UnresolvedAssetJobDefinition):
    """A job that `dagster.define_asset_job` would refuse: its `partitions_def` is part of those of all its assets."""

    def resolve(
        self,
        asset_graph: Any,
        default_executor_def: dg.ExecutorDefinition | None = None,
        resource_defs: Mapping[str, dg.ResourceDefinition] | None = None,
    ) -> dg.JobDefinition:
        """Return the job, as Dagster asks for it when the definitions are put together."""
        selected = get_asset_graph_for_job(asset_graph, self.selection, allow_different_partitions_defs=True)
        job = build_asset_job(
            self.name,
            selected,
            allow_different_partitions_defs=True,
            description=self.description,
            resource_defs=resource_defs,
            executor_def=self.executor_def or default_executor_def,
        )
        return job._copy(partitions_def=self.partitions_def)
