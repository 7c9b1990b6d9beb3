import json
import pickle

import pytest

from conf import schema
from tests.unit.udfs.strategies import EXCHANGES, LIMITS
from udfs.exchange import MODULES, exchange


def test_an_unknown_exchange_is_told_the_known_ones():
    with pytest.raises(ValueError, match="no such exchange: bitstamp; there are binance, kraken, coinbase"):
        exchange("bitstamp", schema("binance"), LIMITS, ())


def test_the_schema_of_another_exchange_is_refused():
    with pytest.raises(ValueError, match=r"the schema of kraken is .*BinanceRawTrade"):
        exchange("kraken", schema("binance"), LIMITS, ())


def test_schema_as_text_and_as_what_it_holds_are_one():
    assert exchange("kraken", json.loads(schema("kraken")), LIMITS, ()) == exchange("kraken", schema("kraken"), LIMITS, [])


@pytest.mark.parametrize("name", MODULES)
def test_travels_to_a_worker(name):
    assert pickle.loads(pickle.dumps(EXCHANGES[name])) == EXCHANGES[name]


def test_names_are_the_modules_names_in_lower_case():
    assert [module.NAME.lower() for module in MODULES.values()] == list(MODULES)
