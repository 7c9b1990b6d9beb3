"""Each bad message is rejected with exactly the reason that it is filed under."""

import json
from datetime import timedelta

import pytest

import conf
from conf.settings import load_pipeline
from tradelake.produce.bad import examples, foreign_schema
from udfs import rules
from udfs.exchange import exchange
from udfs.judge import Judge
from udfs.rejected import ERROR_TYPES, Rejected
from udfs.schemas import SchemaCache

PIPELINE = load_pipeline()
OWN, FOREIGN = 7, 8
EXAMPLES = [
    pytest.param(name, reason, example.value, id=f"{name}-{reason}-{example.description}".encode("unicode_escape").decode())
    for name in PIPELINE.exchanges
    for reason, found in examples(name, OWN, FOREIGN, PIPELINE.limits).items()
    for example in found
]


def judge(name: str) -> Judge:
    microsecond = timedelta(microseconds=1)
    limits = rules.Limits(PIPELINE.limits.future_tolerance // microsecond, PIPELINE.limits.max_age // microsecond)
    texts = {OWN: conf.schema(name), FOREIGN: json.dumps(foreign_schema(name))}
    return Judge(exchange(name, conf.schema(name), limits, PIPELINE.exchanges[name].quote_assets), SchemaCache(texts.get))


@pytest.mark.parametrize(("name", "reason", "value"), EXAMPLES)
def test_it_is_rejected_with_its_reason(name, reason, value):
    with pytest.raises(Rejected) as rejected:
        judge(name).judge(value, 0)
    assert rejected.value.error_reason == reason


def test_every_reason_has_an_example():
    assert set(examples("kraken", OWN, FOREIGN, PIPELINE.limits)) == set(ERROR_TYPES)
    assert set(examples("binance", OWN, FOREIGN, PIPELINE.limits)) == set(ERROR_TYPES) - {"side_unknown"}
