"""Labels of markers on the skin as the section `skin_markers.clicks` of a configuration."""

import numpy as np

from simspine.annotation.labels import Labels, PointStatus, Visibility
from simspine.annotation.recording import RecordedViews
from simspine.errors import InputError
from simspine.skeletons.skin_names import landmark, on_skin


def clicks_as_yaml(recording: RecordedViews, labels: Labels) -> str:
    """{landmark: {view: [[frame, x, y], …]}} of what a person placed; [frame, null, null] where one was said absent.

    Frames are the videos' own, from 0. Raises `InputError` where no marker on the skin was placed in two views.
    """
    lines = []
    for name in on_skin(labels.names):
        i = labels.names.index(name)
        views = {}
        for v, view in enumerate(recording.views):
            rows = _rows(recording, labels, v, i)
            if any("null" not in row for row in rows):
                views[view] = f"[{', '.join(rows)}]"
        if len(views) > 1:
            lines.append(f"  {landmark(name)}: {{{', '.join(f'{view}: {rows}' for view, rows in views.items())}}}")
    if not lines:
        raise InputError(
            f"{recording.name}: no marker on the skin was placed in two views. Open the page with --skin C7,T7,… and "
            "place each in two views or more."
        )
    return "\n".join(["clicks:", *lines])


def _rows(recording: RecordedViews, labels: Labels, view: int, point: int) -> list[str]:
    """The clicks of one marker in one view, as YAML."""
    own = np.isin(labels.status[:, view, point], (PointStatus.CORRECTED, PointStatus.ACCEPTED))
    rows = []
    for frame in np.flatnonzero(own):
        number = int(recording.rows[frame, view])
        if labels.visibility[frame, view, point] == Visibility.ABSENT:
            rows.append(f"[{number}, null, null]")
        else:
            x, y = labels.xy[frame, view, point]
            rows.append(f"[{number}, {x:.1f}, {y:.1f}]")
    return rows
