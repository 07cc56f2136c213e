"""Typed configuration. One YAML file describes a run; its JSON schema is made from these types.

How stages work is said by the types of `simspine.pipeline.options`, so that the file, the schema and the library say
the same thing. Lengths are metres, times seconds, frequencies hertz, angles degrees only where the name says so.
"""

from simspine.config.capture import HumanCapture, Virtual
from simspine.config.people import SharedSubject, Subject, Trial
from simspine.config.reading import check_config, json_schema, read_config
from simspine.config.run import Config, digest
from simspine.config.skin_markers import SkinMarkers, clicks_in_file

__all__ = [
    "Config",
    "HumanCapture",
    "SharedSubject",
    "SkinMarkers",
    "Subject",
    "Trial",
    "Virtual",
    "check_config",
    "clicks_in_file",
    "digest",
    "json_schema",
    "read_config",
]
