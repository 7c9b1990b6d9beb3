"""Whether records of a writer's schema can become records of the reader's at all, told from the schemas alone."""

from udfs.extent import Schema

PROMOTIONS = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "string", "bytes"}


def mismatch(writer: Schema, reader: Schema) -> str | None:
    """Why no record of the writer can be read, or None. Both are parsed record schemas.

    A writer's union that fits in one branch at least is no mismatch: the branch taken decides.
    """
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        name = next((name for name in (field["name"], *field.get("aliases", ())) if name in written), None)
        if name is None:
            if "default" not in field:
                return f"{field['name']} is not written and has no default"
        elif not _readable(written[name], field["type"]):
            return f"{field['name']} is written as {written[name]}"
    return None


def _readable(written: Schema, wanted: Schema) -> bool:
    if isinstance(written, list):
        return any(_readable(branch, wanted) for branch in written)
    if isinstance(wanted, list):
        return any(_readable(written, branch) for branch in wanted)
    have, want = _kind(written), _kind(wanted)
    return want not in PRIMITIVES or have == want or have in PROMOTIONS.get(want, ())


def _kind(schema: Schema) -> str:
    kind: str = schema["type"] if isinstance(schema, dict) else schema
    return kind
