"""The stages in their order, from videos or points to a person's spine, in memory.

Read `reconstruct` first: `reconstruct` and `fit_trials` run the list in `stages`, which the workflow runs too. `stage`
says what a stage is and gathers the settings of all. `detection` and `cameras` hold the stages before the estimator;
`solved_trial` holds the results of all stages for one trial, `publish` converts them to a data set's trial.
Nothing here draws.
"""
