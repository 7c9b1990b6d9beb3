"""The writers' schemas, by the id that stands in each message."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from tenacity import RetryCallState, Retrying, wait_random_exponential

from udfs.rejected import Rejected
from udfs.writer_schema import WriterSchema, parse

log = logging.getLogger(__name__)
T = TypeVar("T")
Fetch = Callable[[int], str | None]
"""From a schema id to its JSON text, or None when the registry answers that it has none. Anything raised is an outage."""

LONGEST_WAIT_S = 10
NUMBERS = ("timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms", "cache.capacity", "cache.latest.ttl.sec")
"""The client's options that it wants as numbers."""
CLIENT_DEFAULTS: dict[str, str | float] = {"timeout": 10, "max.retries": 0}


class SchemaCache:
    """Schemas by id: the known ones for as long as there is room, an id that the registry does not know for seconds only.

    While the registry does not answer, `get` waits and asks again for ever: that is no message's fault.

    Args:
        fetch: asks the registry.
        capacity: how many schemas, and how many unknown ids, are remembered.
        unknown_ttl_s: how long an unknown id is not asked for again.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        capacity: int = 1000,
        unknown_ttl_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fetch, self._capacity, self._unknown_ttl_s, self._clock, self._sleep = fetch, capacity, unknown_ttl_s, clock, sleep
        self._known: OrderedDict[int, WriterSchema | Rejected] = OrderedDict()
        self._unknown_until: OrderedDict[int, float] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._fetch, self._capacity, self._unknown_ttl_s, self._clock, self._sleep)

    def get(self, schema_id: int) -> WriterSchema:
        """The schema of this id.

        Raises:
            Rejected: `unknown_schema_id`, or `incompatible_schema` when it is no Avro record.
        """
        found = self._known.get(schema_id) or self._ask(schema_id)
        self._known.move_to_end(schema_id)
        if isinstance(found, Rejected):
            raise Rejected(found.error_reason, found.error_detail, schema_id)
        return found

    def _ask(self, schema_id: int) -> WriterSchema | Rejected:
        text = self._text(schema_id)
        if text is None:
            raise Rejected("unknown_schema_id", f"the registry has no schema {schema_id}", schema_id)
        try:
            found: WriterSchema | Rejected = parse(schema_id, text)
        except Rejected as rejected:
            found = rejected
        _remember(self._known, schema_id, found, self._capacity)
        return found

    def _text(self, schema_id: int) -> str | None:
        if schema_id < 1 or self._unknown_until.get(schema_id, 0) > self._clock():
            return None
        retrying = Retrying(wait=wait_random_exponential(max=LONGEST_WAIT_S), before_sleep=_warn, sleep=self._sleep)
        text: str | None = retrying(self._fetch, schema_id)
        if text is None:
            _remember(self._unknown_until, schema_id, self._clock() + self._unknown_ttl_s, self._capacity)
        return text


@dataclass(frozen=True)
class Registry:
    """Asks a Confluent-compatible schema registry. Its client is made at the first question, so that it can travel to a worker."""

    url: str
    options: Mapping[str, str]

    def __reduce__(self) -> tuple[type["Registry"], tuple[str, dict[str, str]]]:
        return Registry, (self.url, dict(self.options))

    def __call__(self, schema_id: int) -> str | None:
        try:
            text = self.client.get_schema(schema_id).schema_str
        except SchemaRegistryError as error:
            if _has_no_such_id(error):
                return None
            raise
        finally:
            self.client.clear_caches()  # it keeps every schema for ever
        if not isinstance(text, str):
            raise ValueError(f"{self.url} answered for schema {schema_id} without a schema")
        return text

    @cached_property
    def client(self) -> SchemaRegistryClient:
        options = {key: float(value) if key in NUMBERS else value for key, value in self.options.items()}
        return SchemaRegistryClient.new_client({**CLIENT_DEFAULTS, **options, "url": self.url})


def connect(url: str, options: Mapping[str, str]) -> SchemaCache:
    """The schemas of the registry at `url`, which is not asked yet.

    Args:
        options: the confluent-kafka client's, as text.

    Raises:
        ValueError: an address or an option that the client refuses; later it would look like an outage.
    """
    registry = Registry(url, dict(options))
    _ = registry.client
    return SchemaCache(registry)


def _has_no_such_id(error: SchemaRegistryError) -> bool:
    """A 404 in the registry's own words (404xx): a bare 404 is a wrong address or a proxy, and says nothing about the id."""
    return error.http_status_code == 404 and (error.error_code or 0) // 100 == 404


def _restore(fetch: Fetch, capacity: int, unknown_ttl_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> SchemaCache:
    return SchemaCache(fetch, capacity=capacity, unknown_ttl_s=unknown_ttl_s, clock=clock, sleep=sleep)


def _remember(memory: OrderedDict[int, T], schema_id: int, value: T, capacity: int) -> None:
    memory[schema_id] = value
    if len(memory) > capacity:
        memory.popitem(last=False)


def _warn(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait_s = state.next_action.sleep if state.next_action else 0
    log.warning("schema %s cannot be had (attempt %d: %r); asking again in %.1f s", state.args[0], state.attempt_number, error, wait_s)
