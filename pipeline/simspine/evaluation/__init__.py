"""How large errors are, by the papers' protocols; numbers and tables, no drawing.

Read `metrics` first. `point_protocols` and `angle_protocol` judge any method as the SIMSPINE and SpinePose papers
do; `pairs` matches predictions with truth, `tables` writes results. `validation_records` and `validation_tables`
compare a data set with the literature. `tools/bench` measures simspine itself (`simspine bench`).
"""
