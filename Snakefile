# The workflow's table of contents: one rule per stage, run once per subject.
# `snakemake --cores N` runs the demo; `--configfile configs/mine.yaml` runs something else.
# What a stage does is in pipeline/simspine/; by hand: `simspine STAGE --config C --subject S`.
from snakemake.utils import min_version, validate

min_version("9.0")

# A given --configfile replaces the demo's configuration; Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "configs/demo.yaml"


validate(config, "configs/schema.json")

RESULTS = config["results"]
SUBJECTS = list(config["subjects"])
CONFIG = f"{RESULTS}/config.yaml"
MANIFEST = RESULTS + "/{subject}/manifests/"


wildcard_constraints:
    subject="[A-Za-z0-9][A-Za-z0-9_.-]*",


localrules:
    all,
    configuration,


rule all:
    input:
        f"{RESULTS}/report.html",


rule configuration:
    output:
        CONFIG,
    log:
        f"{RESULTS}/logs/configuration.log",
    params:
        config=config,
    conda:
        "environment.yml"
    script:
        "workflow/scripts/write_config.py"
