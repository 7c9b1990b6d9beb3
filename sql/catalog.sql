-- The lake: one Iceberg REST catalog.
CREATE CATALOG ${name} WITH (
${properties}
);
