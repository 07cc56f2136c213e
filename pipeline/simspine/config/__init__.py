"""Typed configuration. One YAML file describes a run; its JSON schema is made from these types.

Each section's fields are the keyword arguments of the stage's function, so that the file, the schema and the library
say the same thing. Lengths are metres, times seconds, frequencies hertz, angles degrees only where the name says so.
"""

from simspine.config.capture import HumanCapture, Virtual
from simspine.config.people import Subject, Trial
from simspine.config.reading import check_config, json_schema, read_config
from simspine.config.run import Config, digest
from simspine.config.stages import Body, Detection, Filter, InverseKinematics, Merge, Report, Scaling, Triangulation

__all__ = [
    "Body",
    "Config",
    "Detection",
    "Filter",
    "HumanCapture",
    "InverseKinematics",
    "Merge",
    "Report",
    "Scaling",
    "Subject",
    "Trial",
    "Triangulation",
    "Virtual",
    "check_config",
    "digest",
    "json_schema",
    "read_config",
]
