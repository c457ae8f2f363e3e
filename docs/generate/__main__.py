"""``python -m docs.generate``: write every page and schema in ``docs`` that comes from the code."""

from __future__ import annotations

import os
from pathlib import Path

from docs.generate import clients, model_types, pipeline, predictor, recipe, tables
from storage_init.format.schema import schema

DOCS = Path(__file__).parents[1]
PACKAGE_SCHEMA = "package.schema.json"
# The pipeline's flags take their defaults from these variables; the pages show them unset.
DEFAULTS_FROM = ("WARMSTART_STORE", "WARMSTART_KFP_ENDPOINT")


def main(docs: Path = DOCS) -> None:
    """Write the schemas of package and recipe, and the references and tables of the pages."""
    for variable in DEFAULTS_FROM:
        os.environ.pop(variable, None)
    (docs / PACKAGE_SCHEMA).write_text(schema(), "utf-8")
    (docs / recipe.SCHEMA_FILE).write_text(recipe.schema(), "utf-8")
    tables.fill(docs / recipe.PAGE, recipe.reference())
    tables.fill(docs / clients.PAGE, clients.reference())
    tables.fill(docs / model_types.PAGE, model_types.reference())
    for content, part in (
        (predictor.reference(), predictor.PART),
        (tables.reference(), tables.PART),
        (pipeline.flags(), pipeline.FLAGS),
        (pipeline.parameters(), pipeline.PARAMETERS),
    ):
        tables.fill(docs / tables.PAGE, content, part)


if __name__ == "__main__":
    main()
