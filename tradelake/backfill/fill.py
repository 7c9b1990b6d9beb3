"""What is wanted is asked for, page by page, and what comes of it is sent."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Protocol

from tradelake.backfill.api import Api, Asking, ById, Found, GivenUp, Refused
from tradelake.backfill.holes import batches, without
from tradelake.backfill.report import Gap, Report, Span
from udfs.exchange import Exchange
from udfs.rejected import Rejected

INTERRUPTED = "interrupted"


class Sending(Protocol):
    def send(self, record: dict[str, Any]) -> None: ...


class Fill:
    """`gaps` or `spans` of its report are worked off; what goes wrong stands in their reasons.

    Args:
        judge: what silver would refuse is not sent.
        held: of a symbol and numbers, those that the lake has.
    """

    def __init__(
        self,
        api: Api,
        asking: Asking,
        judge: Exchange,
        sender: Sending,
        report: Report,
        held: Callable[[str, Iterable[int]], set[int]] = lambda symbol, numbers: set(),
    ) -> None:
        self._api, self._asking, self._judge, self._sender, self._report, self._held = api, asking, judge, sender, report, held

    def run(self) -> None:
        """Until everything was asked for, the exchange is given up, or Ctrl-C: what was fetched until then is sent."""
        report = self._report
        try:
            for _, of_symbol in groupby(report.gaps, key=lambda gap: gap.symbol):
                gaps = list(of_symbol)
                with self._refusals(gaps):
                    self._gaps(gaps)
            for span in report.spans:
                with self._refusals([span]):
                    self._span(span)
        except GivenUp as error:
            self._unasked(str(error))
        except KeyboardInterrupt:
            report.interrupted = True
            self._unasked(INTERRUPTED)

    @contextmanager
    def _refusals(self, parts: Sequence[Gap | Span]) -> Iterator[None]:
        """What the exchange refuses for one symbol, it may answer for the next."""
        try:
            yield
        except Refused as error:
            for part in parts:
                self._leave(part, str(error))

    def _unasked(self, reason: str) -> None:
        parts: list[Gap | Span] = [*self._report.gaps, *self._report.spans]
        for part in parts:
            self._leave(part, reason)

    @staticmethod
    def _leave(part: Gap | Span, reason: str) -> None:
        """Say why a part was not asked for to its end, unless it was."""
        if not part.asked:
            part.because(reason)

    def _gaps(self, gaps: Sequence[Gap]) -> None:
        by_id = self._api.by_id
        assert by_id is not None
        for batch in batches(gaps, self._api.page):
            self._batch(by_id, batch)
            for gap in batch:
                gap.asked = True
                if gap.missing > gap.rejected:
                    gap.because(f"{self._api.exchange} gives no such trades")

    def _batch(self, by_id: ById, batch: Sequence[Gap]) -> None:
        """Gaps that lie together, from the first number to the last."""
        at, last = batch[0].first, batch[-1].last
        while at <= last:
            found = by_id.trades(self._asking, batch[0].symbol, at, min(self._api.page, last - at + 1))
            for gap in batch:
                self._take(gap, [trade for trade in found if gap.first <= trade.number <= gap.last])
            if not found:
                return
            at = found[-1].number + 1

    def _take(self, gap: Gap, found: Sequence[Found]) -> None:
        sent: list[int] = []
        try:
            for trade in found:
                if self._send(trade, gap):
                    sent.append(trade.number)
        finally:
            gap.left = without(gap.left, sent)

    def _span(self, span: Span) -> None:
        by_time = self._api.by_time
        assert by_time is not None
        next_ns, seen = span.since_us * 1000 - 1, set[int]()
        while True:
            page = by_time.page(self._asking, span.symbol, next_ns)
            new = [trade for trade in page.trades if trade.number not in seen]
            inside = [trade for trade in new if span.since_us <= trade.time_us < span.until_us]
            held = self._held(span.symbol, [trade.number for trade in inside])
            self._report.held += len(held)
            for trade in inside:
                span.sent += trade.number not in held and self._send(trade, span)
            if not new or any(trade.time_us >= span.until_us for trade in new):
                span.reached_us, span.asked = span.until_us, True
                return
            span.reached_us = new[-1].time_us
            # One back: whether `since` itself is meant too, and whether two trades can share it, is not said.
            next_ns, seen = page.next_ns - 1, {trade.number for trade in page.trades}

    def _send(self, trade: Found, part: Gap | Span) -> bool:
        """Send a trade, unless silver would reject it."""
        self._report.fetched += 1
        try:
            self._judge.to_trade(trade.record, 0)
        except Rejected as why:
            self._report.rejected += 1
            part.rejected += 1
            part.because(f"silver would reject it: {why.error_reason}")
            return False
        self._sender.send(trade.record)
        return True
