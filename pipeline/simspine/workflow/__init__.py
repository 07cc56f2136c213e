"""Runs on files: configurations, stages that load and save, results on disk, checks whether they are up to date.

Read `config` first: one YAML file describes a run. `detect_stage` and `stage_files` load and save around the stages of
`reconstruction`. `up_to_date` decides which results are up to date; `jobs` groups stages into processes; `launch`
starts Snakemake. `results` reads a trial back. `setup` checks before the first run. The other modules write the outputs
of commands: exchange formats, reports, tables, views, calibrations.
"""
