"""Each variable of docker-compose.yml that sets a property of a server names one that this server knows: looked up in its own jars."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.unit.deploy.compose import read
from tradelake.jar_placement import registry_folder
from tradelake.jars import Jars, cache_folder, load_lock

JARS = Jars(load_lock(), cache_folder())
OF_SCRIPTS = {"KAFKA_HEAP_OPTS"}
"""Read by the image's own start script, not a property."""


def kafka(variable: str) -> str:
    """The rule of the image: `_` is a dot."""
    return variable.removeprefix("KAFKA_").lower().replace("_", ".")


def registry(variable: str) -> str:
    """The rule of MicroProfile's configuration: any dot or dash is `_`."""
    return variable.lower().replace("_", ".")


def catalog(variable: str) -> str:
    """The rule of the image: `__` is a dash, `_` a dot."""
    return variable.removeprefix("CATALOG_").lower().replace("__", "-").replace("_", ".")


def properties(service: str) -> set[str]:
    rule, prefix = {"kafka": (kafka, "KAFKA_"), "registry": (registry, "APICURIO_"), "catalog": (catalog, "CATALOG_")}[service]
    return {rule(name) for name in read().services[service].environment if name.startswith(prefix) and name not in OF_SCRIPTS}


def jars_of(service: str) -> Iterable[Path]:
    return registry_folder(JARS).rglob("*apicurio*.jar") if service == "registry" else JARS.files(service)


def unknown(names: set[str], jars: Iterable[Path]) -> set[str]:
    """The names that stand, whole, in no class as a constant, and in no file of properties."""
    left = set(names)
    for jar in jars:
        with zipfile.ZipFile(jar) as classes:
            for name in classes.namelist():
                if left and name.endswith((".class", ".properties")):
                    content = classes.read(name)
                    names = constant if name.endswith(".class") else in_properties
                    left -= {one for one in left if names(one, content)}
    return left


def constant(text: str, code: bytes) -> bool:
    """A string of a class file is a tag, its length, its bytes."""
    return b"\x01" + len(text).to_bytes(2) + text.encode() in code


def in_properties(text: str, content: bytes) -> bool:
    """As a key, or as the key that a value refers to."""
    return bool(re.search(rb"(^|\$\{)" + re.escape(text.encode()) + rb"[=:}]", content, re.MULTILINE))


@pytest.mark.parametrize("service", ["kafka", "registry", "catalog"])
def test_every_variable_is_a_property_that_the_server_knows(service: str) -> None:
    names = properties(service)
    assert len(names) >= 3
    assert unknown(names, jars_of(service)) == set()


@pytest.mark.parametrize("service", ["kafka", "registry", "catalog"])
def test_a_property_that_is_misspelt_is_not_found(service: str) -> None:
    misspelt = {re.sub("(.)$", r"\1\1", name) for name in properties(service)}
    assert unknown(misspelt, jars_of(service)) == misspelt
