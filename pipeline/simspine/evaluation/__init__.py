"""How large errors are, by the papers' protocols and by benchmarks of our own; numbers and tables, no drawing.

Read `metrics` first. `point_protocols` and `angle_protocol` judge anyone's predictions as the SIMSPINE and SpinePose
papers do; `pairs` matches predictions with truth, `tables` writes results. `bench_accuracy`, on `study_trials`, and
`bench_engines` are behind `simspine bench`; `baselines` holds what any method must beat. `validation_records` and
`validation_tables` compare a data set with the literature.
"""
