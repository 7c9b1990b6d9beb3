"""A third exchange is one module: nothing but what docs/adding-an-exchange.md lists knows of it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("udfs", "flink_jobs", "sql", "conf", "tradelake", "bench", "deploy", "docker", "kubernetes")
OF_COINBASE = {
    "udfs/coinbase.py",
    "udfs/exchange.py",
    "conf/schemas/coinbase_raw_trade.avsc",
    "conf/pipeline.yaml",
    "tradelake/feed/coinbase.py",
    "tradelake/feed/wires.py",
}


def naming(exchange: str) -> set[str]:
    """The files that name an exchange."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*") if file.suffix in (".py", ".sql", ".yaml", ".yml", ".avsc", ".sh")]
    found = {str(file.relative_to(ROOT)) for file in files if exchange in file.read_text(encoding="utf-8").lower()}
    return found | {str(file.relative_to(ROOT)) for file in files if exchange in file.name}


def test_only_what_is_the_exchanges_names_it() -> None:
    assert naming("coinbase") == OF_COINBASE


def test_the_page_lists_every_file() -> None:
    page = (ROOT / "docs" / "adding-an-exchange.md").read_text(encoding="utf-8")
    assert {file for file in OF_COINBASE if f"`{file}`" not in page} == set()


def test_in_the_shared_modules_an_exchange_is_an_import_and_a_line() -> None:
    for shared, lines in (("udfs/exchange.py", 2), ("tradelake/feed/wires.py", 2)):
        named = [line for line in (ROOT / shared).read_text(encoding="utf-8").splitlines() if "coinbase" in line]
        assert len(named) == lines, named
