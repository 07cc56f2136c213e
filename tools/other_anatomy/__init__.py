"""People of another anatomy, who share no table, model or code with the estimator: `simspine bench accuracy` judges by
them.

Read `motion` first: it makes a person and trials. `anatomy` draws sizes and standing curves from `foreign.yaml`, `body`
puts them together. Only definitions come from the package: the 37 points, the names of the levels, the angles.
"""
