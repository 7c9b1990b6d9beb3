"""The state folder of one local stack, and the settings that commands work with."""

import os
from dataclasses import dataclass
from pathlib import Path

from conf.settings import PIPELINE, Environment, Pipeline, Settings, load_environment, load_pipeline


def default_home() -> Path:
    return Path(os.environ.get("TRADELAKE_HOME") or ".tradelake")


@dataclass(frozen=True)
class Home:
    """One stack's state folder (absolute), and the pipeline file that its commands read."""

    path: Path
    pipeline_file: Path = PIPELINE

    @property
    def place(self) -> Path:
        """The folder's one name, however it was written: the stack's processes carry it."""
        return self.path.resolve()

    @property
    def environment_file(self) -> Path:
        return Path(os.environ.get("TRADELAKE_ENVIRONMENT") or self.path / "environment.yaml")

    def pipeline(self) -> Pipeline:
        return load_pipeline(self.pipeline_file)

    def environment(self) -> Environment:
        return load_environment(self.environment_file)

    def settings(self) -> Settings:
        return Settings(pipeline=self.pipeline(), environment=self.environment())
