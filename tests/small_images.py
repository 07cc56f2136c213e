"""A SpineTrack-like file of labels, and people found in its images."""

import json

import numpy as np

from simspine.core.skeletons import load_skeleton

TABLE = load_skeleton("spinetrack37")
LATISSIMUS = [TABLE.index(f"{side}_latissimus") for side in ("left", "right")]


def people(count=6, seed=5):
    """(people, 37, 3) labels of two people an image, about 200 px tall, some points not labelled."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, 200, (count, 37, 2)) + 300 * (np.arange(count) % 2)[:, None, None]
    seen = random.choice([0, 1, 2], (count, 37, 1), p=[0.1, 0.3, 0.6])
    return np.concatenate([places, seen], -1)


def write_labels(path, keypoints, category=None, area=True):
    rows = []
    for i, own in enumerate(keypoints):
        low, high = own[:, :2].min(0), own[:, :2].max(0)
        row = {
            "id": i + 1, "image_id": 70 + i // 2, "category_id": 1, "keypoints": own.ravel().tolist(), "iscrowd": 0,
            "bbox": [*low.tolist(), *(high - low).tolist()], "num_keypoints": int((own[:, 2] > 0).sum()),
        }  # fmt: skip
        rows.append(row | ({"area": 0.5 * row["bbox"][2] * row["bbox"][3]} if area else {}))
    images = [
        {"id": n, "width": 640, "height": 480, "file_name": f"{n}.jpg"} for n in sorted({r["image_id"] for r in rows})
    ]
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "person"} | (category or {})]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_results(path, keypoints):
    rows = [
        {"image_id": 70 + i // 2, "category_id": 1, "keypoints": own.ravel().tolist(), "score": 1.0}
        for i, own in enumerate(keypoints)
    ]
    path.write_text(json.dumps(rows))
