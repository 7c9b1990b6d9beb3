-- How Flink's SQL client begins, before it gives the word to a person: batch mode, results as tables in which an id is
-- shown whole, the lake's catalog.
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'table.display.max-column-width' = '40';
SET 'table.dml-sync' = 'true';
SET 'table.local-time-zone' = 'UTC';

${create_catalog}
USE CATALOG `${catalog}`;

${create_database}
USE `${database}`;
