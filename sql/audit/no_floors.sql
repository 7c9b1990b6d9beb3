-- The first offset of each partition that belongs to the audit.
CREATE OR REPLACE TEMP TABLE floors (topic VARCHAR, "partition" INTEGER, first BIGINT)
