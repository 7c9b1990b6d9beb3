"""docker-compose.yml, read strictly: what it may say, and nothing else. A key that is misspelt is no key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"

Duration = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
Environment = dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str]
Command = Annotated[list[str], Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Healthcheck(Strict):
    test: Annotated[list[str], Field(min_length=2)]
    interval: Duration
    timeout: Duration
    retries: Annotated[int, Field(ge=1)]
    start_period: Duration
    start_interval: Duration


class Dependency(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Mount(Strict):
    """A config, as a file of a container."""

    source: str
    target: Annotated[str, Field(pattern=r"^/")]


class Logging(Strict):
    driver: Literal["json-file"]
    options: dict[Literal["max-size", "max-file"], str]


class Service(Strict):
    image: str
    build: Literal["."] | None = None
    platform: Literal["linux/amd64"] | None = None
    profiles: list[str] = []
    init: bool = False
    user: str | None = None
    cap_drop: list[Literal["ALL"]] = []
    cap_add: list[str] = []
    security_opt: list[Literal["no-new-privileges:true"]] = []
    network_mode: Literal["none"] | None = None
    entrypoint: Command | None = None
    command: Command | None = None
    environment: Environment = {}
    configs: list[Mount] = []
    volumes: list[Annotated[str, Field(pattern=r"^[^:]+:/[^:]+(:ro)?$")]] = []
    ports: list[str] = []
    depends_on: dict[str, Dependency] = {}
    healthcheck: Healthcheck | None = None
    stdin_open: bool = False
    tty: bool = False
    restart: Literal["no", "unless-stopped"]
    mem_limit: Memory
    logging: Logging

    @property
    def megabytes(self) -> int:
        return int(self.mem_limit[:-1]) * (1024 if self.mem_limit.endswith("g") else 1)


class FileConfig(Strict):
    file: str


class TextConfig(Strict):
    content: str


class Compose(Strict):
    name: str
    services: dict[str, Service]
    configs: dict[str, FileConfig | TextConfig]
    volumes: dict[str, None]

    def default(self) -> dict[str, Service]:
        """What starts without a profile."""
        return {name: service for name, service in self.services.items() if not service.profiles}


def read() -> Compose:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return Compose.model_validate({key: value for key, value in content.items() if not key.startswith("x-")})
