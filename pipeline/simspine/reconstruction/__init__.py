"""The stages in their order, from videos or points to a person's spine, in memory.

Read `reconstruct` first: `reconstruct` and `fit_trials` run the one list of stages that the workflow runs too.
`options`
gathers the settings of all stages; each class of settings stands with its stage. `points`, `cameras` and `sized_body`
are stages between detection and the estimator; `solved_trial` holds what each stage found in one trial.
Nothing here reads or writes a file of results, and nothing draws.
"""
