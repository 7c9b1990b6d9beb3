"""The REST API of each exchange that has one for trades of the past. A new one is a module like `binance` and its line here."""

from tradelake.backfill import binance, kraken
from tradelake.backfill.api import Api

APIS: dict[str, Api] = {
    "binance": binance.API,
    "kraken": kraken.API,
}
