-- The days of which gold has rows, or silver trades.
SELECT DISTINCT exchange_date FROM ${gold}
UNION
SELECT DISTINCT TRY(make_timestamp("timestamp")::DATE) FROM ${silver}
ORDER BY ALL
