"""The wire formats of each exchange, the default first. A new exchange is a module like `binance` and its line here."""

from tradelake.feed import binance, coinbase, kraken
from tradelake.feed.wire import Wire

WIRES: dict[str, dict[str, Wire]] = {
    "binance": {"stream": binance.STREAM},
    "kraken": {"v2": kraken.V2, "v1": kraken.V1},
    "coinbase": {"market_trades": coinbase.MARKET_TRADES},
}
