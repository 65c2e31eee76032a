"""Fields of vectors with coordinates and units: written and read for other programs, one module a format."""

from variflow.io.fields.files import check_fields_path, read_fields, write_fields

__all__ = ["check_fields_path", "read_fields", "write_fields"]


def __dir__() -> list[str]:
    return sorted(__all__)
