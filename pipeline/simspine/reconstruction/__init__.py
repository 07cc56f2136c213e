"""The stages in their order, from videos or points to a person's spine, in memory.

Read `reconstruct` first: `reconstruct` and `fit_trials` run the list in `stages`, which the workflow runs too. `stage`
says what a stage is and gathers the settings of all. `detection` and `cameras` hold the stages before the estimator;
`solved_trial` holds what each stage found in one trial, `publish` makes a data set's trial of it. Nothing here
draws.
"""
