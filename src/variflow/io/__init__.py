"""Reading and writing flows and frames; one module a format, behind one read and one write."""

from variflow.io.atomic import atomic
from variflow.io.errors import FieldsFileError, FileFormatError, FlowFileError, ImageFileError
from variflow.io.fields import check_fields_path, read_fields, write_fields
from variflow.io.flows import check_flow_path, read_flow, write_flow
from variflow.io.images import check_image_path, write_image
from variflow.io.reading import read_frames, read_image
from variflow.io.sequences import Frames
from variflow.io.stacks import write_frames

__all__ = [
    "FieldsFileError",
    "FileFormatError",
    "FlowFileError",
    "Frames",
    "ImageFileError",
    "atomic",
    "check_fields_path",
    "check_flow_path",
    "check_image_path",
    "read_fields",
    "read_flow",
    "read_frames",
    "read_image",
    "write_fields",
    "write_flow",
    "write_frames",
    "write_image",
]


def __dir__() -> list[str]:
    return sorted(__all__)
