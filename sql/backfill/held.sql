-- The numbers of a pair's trades that are there, between two. The pair is part of a trade's identity: one symbol may have two.
SELECT DISTINCT source_sequence
FROM ${silver}
WHERE symbol = '${symbol}' AND source_sequence BETWEEN ${first} AND ${last} AND ends_with(vendor_data, '"pair":"${pair}"}')
