"""Why a message is no trade: the reasons of the data contract, each with its type."""

ERROR_TYPES: dict[str, str] = {
    "null_value": "decode",
    "truncated": "decode",
    "bad_magic_byte": "decode",
    "avro_decode_failed": "decode",
    "trailing_bytes": "decode",
    "unknown_schema_id": "schema",
    "incompatible_schema": "schema",
    "price_not_a_number": "price",
    "price_not_positive": "price",
    "price_out_of_range": "price",
    "quantity_not_a_number": "quantity",
    "quantity_not_positive": "quantity",
    "quantity_out_of_range": "quantity",
    "timestamp_unreadable": "timestamp",
    "timestamp_in_future": "timestamp",
    "timestamp_too_old": "timestamp",
    "symbol_missing": "symbol",
    "symbol_unreadable": "symbol",
    "side_unknown": "side",
}
"""error_reason -> error_type, in the order in which the rules are applied within a type."""

DETAIL_LENGTH = 200


class Rejected(Exception):
    """One message, refused for one reason.

    Attributes:
        error_reason: a key of `ERROR_TYPES`; any other is a KeyError here.
        error_type: its type.
        error_detail: what was seen, at most 200 characters, always text that UTF-8 can hold.
        schema_id: the writer's schema, None when the header could not be read.
    """

    def __init__(self, error_reason: str, error_detail: str = "", schema_id: int | None = None) -> None:
        self.error_type = ERROR_TYPES[error_reason]
        self.error_reason = error_reason
        self.error_detail = error_detail[:DETAIL_LENGTH].encode("utf-8", "replace").decode("utf-8")
        self.schema_id = schema_id
        super().__init__(error_reason, self.error_detail, schema_id)

    def __reduce__(self) -> tuple[type["Rejected"], tuple[str, str, int | None]]:
        return Rejected, (self.error_reason, self.error_detail, self.schema_id)

    def __str__(self) -> str:
        return f"{self.error_reason}: {self.error_detail}" if self.error_detail else self.error_reason
