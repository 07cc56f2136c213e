"""Load, run a stage, save: configuration files, results on disk, what is up to date, jobs for Snakemake.

Read `config` first: one YAML file describes a run. `detect_stage` and `stages` load and save around the stages of
`reconstruction`. `up_to_date` says what is up to date and why not; `jobs` groups stages into processes; `launch` starts
Snakemake. `results` reads a trial back. `setup` checks before the first run. The other modules write what a command
asks for: exchange formats, reports, tables, views, calibrations.
"""
