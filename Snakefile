# The workflow's table of contents: one rule per stage, run once per subject.
# `snakemake --cores N` runs the demo; `--configfile configs/mine.yaml` runs something else.
# What a stage does is in pipeline/simspine/; by hand: `simspine STAGE --config C --subject S`.
from snakemake.utils import min_version, validate

from simspine.workflow.inputs import input_files, write_config

min_version("9.0")

# A given --configfile replaces the demo's configuration; Snakemake alone would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "configs/demo.yaml"


validate(config, "configs/schema.json")

RESULTS = config["results"]
CONFIG = f"{RESULTS}/config.yaml"
DONE = f"{RESULTS}/{{subject}}/done/"
LOG = f"{RESULTS}/logs/{{subject}}_"
BENCHMARK = f"{RESULTS}/benchmarks/{{subject}}_"
STAGE = "--config {input.config} --subject {wildcards.subject} --quiet > {log} 2>&1"


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
    params:
        config=config,
    run:
        write_config(params.config, output[0])


rule detect:
    input:
        videos=lambda w: input_files(config, w.subject),
        config=CONFIG,
    output:
        touch(DONE + "detect"),
    log:
        LOG + "detect.log",
    benchmark:
        BENCHMARK + "detect.tsv"
    conda:
        "environment.yml"
    threads: 2
    shell:
        "simspine detect " + STAGE


rule triangulate:
    input:
        detect=DONE + "detect",
        config=CONFIG,
    output:
        touch(DONE + "triangulate"),
    log:
        LOG + "triangulate.log",
    benchmark:
        BENCHMARK + "triangulate.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine triangulate " + STAGE


rule merge:
    input:
        triangulate=DONE + "triangulate",
        config=CONFIG,
    output:
        touch(DONE + "merge"),
    log:
        LOG + "merge.log",
    benchmark:
        BENCHMARK + "merge.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine merge " + STAGE


rule scale:
    input:
        merge=DONE + "merge",
        config=CONFIG,
    output:
        touch(DONE + "scale"),
    log:
        LOG + "scale.log",
    benchmark:
        BENCHMARK + "scale.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine scale " + STAGE


rule ik:
    input:
        merge=DONE + "merge",
        scale=DONE + "scale",
        config=CONFIG,
    output:
        touch(DONE + "ik"),
    log:
        LOG + "ik.log",
    benchmark:
        BENCHMARK + "ik.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine ik " + STAGE


rule vertebrae:
    input:
        ik=DONE + "ik",
        config=CONFIG,
    output:
        touch(DONE + "vertebrae"),
    log:
        LOG + "vertebrae.log",
    benchmark:
        BENCHMARK + "vertebrae.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine vertebrae " + STAGE


rule quality:
    input:
        vertebrae=DONE + "vertebrae",
        config=CONFIG,
    output:
        touch(DONE + "quality"),
    log:
        LOG + "quality.log",
    benchmark:
        BENCHMARK + "quality.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine quality " + STAGE


rule export:
    input:
        quality=DONE + "quality",
        config=CONFIG,
    output:
        touch(DONE + "export"),
    log:
        LOG + "export.log",
    benchmark:
        BENCHMARK + "export.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine export " + STAGE


rule dataset:
    input:
        expand(DONE + "export", subject=config["subjects"]),
        config=CONFIG,
    output:
        f"{RESULTS}/{config['name']}.h5",
        report(f"{RESULTS}/summary.json", category="Summary"),
    log:
        f"{RESULTS}/logs/dataset.log",
    benchmark:
        f"{RESULTS}/benchmarks/dataset.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine export --config {input.config} --quiet > {log} 2>&1"


rule page:
    input:
        f"{RESULTS}/summary.json",
        config=CONFIG,
    output:
        report(f"{RESULTS}/report.html", category="Report"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine report --config {input.config} > {log} 2>&1"
