"""Resources: what an operator can set on the page. Each holds settings only; `open_session` makes the plain objects.

What belongs here: fields, their help, and how they override `magicpy.toml`. What they mean is in `core.settings`.
A field that is left empty leaves the setting as it is, so the four resources come without values of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from magicpy_assets.core.settings import Settings, load_settings
from magicpy_assets.defs.cancelling import Watch
from magicpy_assets.defs.lost_runs import note_process
from magicpy_assets.pipeline.session import Session, open_session


class StoreResource(dg.ConfigurableResource):
    """Where products and records lie."""

    path: str | None = Field(default=None, description="Folder of the store; by default that of magicpy.toml.")


class DataServerResource(dg.ConfigurableResource):
    """The data server. Its password comes from the environment, netrc or keyring, never from here."""

    url: str | None = Field(default=None, description="'embedded' for the simulated observatory, or http(s)://…")
    user: str | None = Field(default=None, description="Login name on the server.")
    in_place: str | None = Field(default=None, description="Folder like the server's Data, used where it lies.")
    offline: bool | None = Field(default=None, description="Use the last listings and ask the server nothing.")


class MarsResource(dg.ConfigurableResource):
    """The analysis programs."""

    installation: str | None = Field(default=None, description="'embedded' or 'installed'.")
    marssys: str | None = Field(default=None, description="Root of an installed MARS.")
    rootsys: str | None = Field(default=None, description="Root of the ROOT it was built with.")
    stages: dict[str, str] | None = Field(
        default=None, description="Programs for single stages, such as {'melibea': 'installed'}."
    )


class ComputeResource(dg.ConfigurableResource):
    """Where commands run."""

    kind: str | None = Field(default=None, description="'local', 'htcondor' or 'slurm'.")
    workers: int | None = Field(default=None, description="Worker processes; by default one for each core.")
    max_jobs: int | None = Field(default=None, description="At most so many jobs of a farm at the same time.")
    queue: str | None = Field(default=None, description="Slurm's partition, or HTCondor's accounting group.")


class Magic(dg.ConfigurableResource):
    """The four together: what an asset opens its session with."""

    store: dg.ResourceDependency[StoreResource]
    data_server: dg.ResourceDependency[DataServerResource]
    mars: dg.ResourceDependency[MarsResource]
    compute: dg.ResourceDependency[ComputeResource]
    more: dict[str, Any] = Field(
        default_factory=dict, description="Any other setting by its dotted key, such as {'forest.off_hours': 5}."
    )
    built_with: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings that the definitions were built with, by dotted key; leave it alone.",
    )
    _session: Session | None = PrivateAttr(default=None)
    _watch: Watch | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """Return the settings in force: file and environment, then what was set on the page.

        Raises
        ------
        ConfigError
            For unknown keys or values that do not fit, all of them at once.
        """
        chosen = dict(self.built_with)
        sections = {"archive": self.data_server, "mars": self.mars, "compute": self.compute}
        for section, resource in sections.items():
            chosen |= {f"{section}.{key}": value for key, value in _given(resource).items()}
        if self.store.path:
            chosen["store"] = self.store.path
        return load_settings(**chosen | self.more)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note on a run which process works on it, so that lost ones are known, and watch whether it is cancelled."""
        if context.run is not None and context.instance is not None:
            note_process(context.instance, context.run.run_id)
            self._watch = Watch(context.instance, context.run.run_id)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give the session of this execution: opened when first asked for, closed when the execution ends.

        The steps of a run share it, with its workers and its connection to the data server.
        """
        if self._session is None:
            self._session = open_session(self.settings())
            self._session.watch = self._watch or self._session.watch
        self._session.watch()
        yield self._session

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Stop workers and servers; Dagster calls this however the execution ends."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _given(resource: dg.ConfigurableResource) -> dict[str, Any]:
    return {key: value for key, value in resource.model_dump().items() if value is not None}


def resources(settings: Settings) -> dict[str, Any]:
    """Return the resources: the four that can be set on the page, and what assets open their session with.

    Settings that were given as arguments are kept in the last; file and environment are read again by every process.
    """
    four: dict[str, Any] = {
        "store": StoreResource.configure_at_launch(),
        "data_server": DataServerResource.configure_at_launch(),
        "mars": MarsResource.configure_at_launch(),
        "compute": ComputeResource.configure_at_launch(),
    }
    return {"magic": Magic(**four, built_with=_given_by_hand(settings)), **four}


def _given_by_hand(settings: Settings) -> dict[str, Any]:
    """Return what was given as an argument, by dotted key."""
    found: dict[str, Any] = {}
    for key, origin in settings.origins.items():
        if origin == "argument":
            value: Any = settings.model_dump(mode="json")
            for name in key.split("."):
                value = value[name]
            found[key] = value
    return found
