"""People in images, labelled and found, for the tests of precision."""

import numpy as np

from simspine.evaluation.metrics import ImagePeople


def crowd(seed=3, people=40):
    """Labels of several people an image, some points not labelled, and what was found: near them, and elsewhere."""
    random = np.random.default_rng(seed)
    image = tuple(f"{i // 3}.jpg" for i in range(people))
    size = random.uniform(20, 300, people)
    places = random.uniform(0, 1, (people, 6, 2)) * size[:, None, None] + random.uniform(0, 600, (people, 1, 2))
    labels = np.concatenate([places, random.choice([0, 1, 2], (people, 6, 1), p=[0.2, 0.3, 0.5])], -1)
    box = np.concatenate([places.min(1), np.ptp(places, axis=1)], 1)
    area = box[:, 2] * box[:, 3]
    noise = random.normal(size=places.shape) * (0.08 * random.uniform(0, 2, people) * size)[:, None, None]
    found = np.concatenate([places + noise, np.ones((people, 6, 1))], -1)[::-1]
    score = random.uniform(size=people)
    truth = ImagePeople(image, labels, box, area, np.ones(people), np.zeros(people, bool))
    return truth, ImagePeople(image[::-1], found, box[::-1], area[::-1], score, np.zeros(people, bool))
