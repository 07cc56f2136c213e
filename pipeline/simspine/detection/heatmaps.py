"""Points from heat maps, to fractions of a cell: what networks such as HRNet and ViTPose give.

A heat map is trained to be a Gaussian around the point. Its maximum is found cell by cell, and moved to where the
logarithm of the map, a parabola around the point, has its top: one Newton step from second differences (DARK, Zhang et
al. 2020, "Distribution-aware coordinate representation for human pose estimation"). The map is smoothed before, so that
noise does not bend the parabola; a Gaussian stays one.
"""

import numpy as np

KERNEL = 11  # cells; OpenCV's Gaussian of this size has a standard deviation of 2 cells, that of the trained maps
LEAST = 1e-10  # of a map, before its logarithm is taken
FARTHEST = 1.0  # cells a maximum may be moved along each axis


def decode_heatmaps(maps: np.ndarray, size: tuple[int, int], unbiased: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Maps (people, points, rows, columns) → points (people, points, 2) px of the crop, confidence (people, points).

    size: (height, width) px of the crop. unbiased: the first and last cells' centres are those of the crop's first and
    last pixels (UDP, Huang et al. 2020: ViTPose); else a cell stands for so many whole pixels (HRNet). The confidence
    is the map's maximum, cut to 0…1; NaN where it is not positive (the network saw nothing).
    """
    people, points, rows, columns = maps.shape
    top = maps.reshape(people, points, rows * columns).argmax(-1)
    cell = np.stack([top % columns, top // columns], -1)  # (people, points, 2)
    confidence = np.clip(maps.max((2, 3)), 0.0, 1.0).astype(float)
    pairs = zip(maps.reshape(people * points, rows, columns), cell.reshape(-1, 2), strict=True)
    xy = cell + np.array([_to_top(heat, at) for heat, at in pairs]).reshape(cell.shape)
    grid, crop = np.array([columns, rows]), np.array(size[::-1])
    scale = (crop - 1) / np.maximum(grid - 1, 1) if unbiased else crop / grid
    return np.where(confidence[..., None] > 0, xy * scale, np.nan), confidence


def _to_top(heat: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """(2,) cells from the greatest cell (x, y) to the top of the parabola through the logarithms around it.

    Nothing at the map's rim, or where the surface has no top.
    """
    import cv2

    x, y = cell
    if not (1 <= x < heat.shape[1] - 1 and 1 <= y < heat.shape[0] - 1):
        return np.zeros(2)
    reach = KERNEL // 2 + 1
    low = np.maximum([y - reach, x - reach], 0)
    around = np.ascontiguousarray(heat[low[0] : y + reach + 1, low[1] : x + reach + 1], np.float32)
    smooth = cv2.GaussianBlur(around, (KERNEL, KERNEL), 0, borderType=cv2.BORDER_CONSTANT)
    row, column = y - low[0], x - low[1]
    near = np.log(np.maximum(smooth[row - 1 : row + 2, column - 1 : column + 2].astype(float), LEAST))
    slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    bend_x = near[1, 2] - 2 * near[1, 1] + near[1, 0]
    bend_y = near[2, 1] - 2 * near[1, 1] + near[0, 1]
    twist = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    determinant = bend_x * bend_y - twist**2
    if bend_x >= 0 or determinant <= 0:  # a saddle, or flat
        return np.zeros(2)
    step = -np.array([bend_y * slope[0] - twist * slope[1], bend_x * slope[1] - twist * slope[0]]) / determinant
    return np.clip(step, -FARTHEST, FARTHEST)
