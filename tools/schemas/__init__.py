"""What each JSON document of eecompile holds, as JSON Schema: the source of ``docs/schemas``.

    python3 -m tools.schemas

writes one file per document and ``schema_version``, and the table in ``docs/schemas.md``.
"""
