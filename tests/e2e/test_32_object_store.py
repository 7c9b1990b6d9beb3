"""The object store by itself, in a home of an odd name."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from tests.e2e.stack import free_port_base
from tradelake.jars import Jars, cache_folder, load_lock
from tradelake.stack import s3
from tradelake.stack.credentials import REGION, credential
from tradelake.stack.part import ENCODING, Site
from tradelake.stack.ports import Ports


@pytest.fixture
def store(tmp_path: Path) -> Iterator[fs.S3FileSystem]:
    home = tmp_path / "a home, 100 % odd; ünicode \\ 💱"
    home.mkdir()
    site = Site(home, Ports(free_port_base()), Jars(load_lock(), cache_folder()))
    part, key = s3.s3(site), credential(home)
    with (tmp_path / "s3.log").open("wb") as log:
        server = subprocess.Popen(part.prepare(), cwd=home, env=os.environ | ENCODING, stdout=log, stderr=log)
        try:
            while not part.ready():
                assert server.poll() is None, (tmp_path / "s3.log").read_text()
            yield fs.S3FileSystem(
                endpoint_override=part.address,
                region=REGION,
                force_virtual_addressing=False,
                access_key=key.identity,
                secret_key=key.secret,
            )
        finally:
            server.terminate()
            server.wait()


def test_an_object_of_several_parts_comes_back_whole(store: fs.S3FileSystem) -> None:
    """Flink's checkpoints and large files of the tables are uploaded so."""
    content = os.urandom(12_000_000)
    with store.open_output_stream(f"{s3.STATE_BUCKET}/some/object") as upload:
        upload.write(content)
    assert store.open_input_stream(f"{s3.STATE_BUCKET}/some/object").read() == content
