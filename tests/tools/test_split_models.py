"""The packaged base models are what the tool makes of Pose2Sim's; wrong models are refused by name."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tools.split_models import articulate_torso, model_without_markers, split_models

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError
from simspine.core.settings import models_folder

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def test_packaged_models_are_what_the_tool_makes():
    for file, text in split_models().items():
        packaged = (models_folder() / file).read_text(encoding="utf-8")
        assert NUMBER.sub("#", packaged) == NUMBER.sub("#", text)
        values, expected = (np.array(NUMBER.findall(one), float) for one in (packaged, text))
        # The last digit differs between processors.
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


def test_a_model_without_that_torso_is_refused():
    whole, plan = model_without_markers(), read_recipe("articulated").articulation
    with pytest.raises(InputError, match="no joint that carries the body 'trunk'"):
        articulate_torso(whole.osim, replace(plan, split="trunk"), neutral_poses(whole))
