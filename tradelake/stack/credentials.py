"""The object store's key: made at random once for each home, and read from files that only their owner can read."""

import configparser
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

REGION = "us-east-1"
CREDENTIALS = "secrets/aws-credentials"
AWS_ENVIRONMENT = {"AWS_SHARED_CREDENTIALS_FILE": CREDENTIALS, "AWS_CREDENTIAL_PROFILES_FILE": CREDENTIALS, "AWS_REGION": REGION}
"""How a part, which runs in the home, finds the credential: its place, never the secret itself.

Two names for one file: version 2 of AWS's Java library (Iceberg) knows the first, version 1 (Flink's S3 file system) the second.
"""


@dataclass(frozen=True)
class Credential:
    identity: str
    secret: str = field(repr=False)


def credentials_file(home: Path) -> Path:
    return home / CREDENTIALS


def write_private(path: Path, content: str) -> None:
    """Write a file that no other user of the machine can read, at no moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(content)


def credential(home: Path) -> Credential:
    """This home's credential, made at the first call."""
    file = credentials_file(home)
    if not file.exists():
        lines = (
            "[default]",
            f"aws_access_key_id = {secrets.token_hex(10).upper()}",
            f"aws_secret_access_key = {secrets.token_hex(20)}",
            "",
        )
        write_private(file, "\n".join(lines))
    parser = configparser.ConfigParser()
    parser.read(file, encoding="utf-8")
    return Credential(parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"])
