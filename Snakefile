# The workflow's table of contents: one rule per stage, run once per subject.
# `snakemake --cores N` runs the demo; `--configfile configs/mine.yaml` runs something else.
# What a stage does is in pipeline/simspine/; by hand: `simspine STAGE --config C --subject S`.
from snakemake.utils import min_version, validate

from simspine.config import check_config
from simspine.workflow.inputs import input_files, write_config

min_version("9.0")

# A given --configfile replaces the demo's configuration; Snakemake alone would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "configs/demo.yaml"


settings = check_config(
    config
)  # one line per fault, with the right key for a misspelt one
validate(config, "configs/schema.json")  # the same schema; fills in the defaults

RESULTS = config["results"]


wildcard_constraints:
    subject="[A-Za-z0-9][A-Za-z0-9_.-]*",


localrules:
    all,
    configuration,


rule all:
    input:
        f"{RESULTS}/report.html",


# The resolved configuration, so that --config on the command line reaches the stages too.
rule configuration:
    output:
        f"{RESULTS}/config.yaml",
    log:
        f"{RESULTS}/logs/configuration.log",
    params:
        config=config,
    run:
        write_config(params.config, output[0])


# Only where the configuration has a section `virtual`.
rule capture:
    input:
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/capture"),
    log:
        f"{RESULTS}/logs/{{subject}}_capture.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_capture.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine capture virtual --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule detect:
    input:
        videos=lambda w: input_files(settings, w.subject),
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/detect"),
    log:
        f"{RESULTS}/logs/{{subject}}_detect.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_detect.tsv"
    conda:
        "environment.yml"
    threads: 2
    shell:
        "simspine detect --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule triangulate:
    input:
        detect=f"{RESULTS}/{{subject}}/done/detect",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/triangulate"),
    log:
        f"{RESULTS}/logs/{{subject}}_triangulate.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_triangulate.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine triangulate --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule merge:
    input:
        triangulate=f"{RESULTS}/{{subject}}/done/triangulate",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/merge"),
    log:
        f"{RESULTS}/logs/{{subject}}_merge.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_merge.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine merge --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule scale:
    input:
        merge=f"{RESULTS}/{{subject}}/done/merge",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/scale"),
    log:
        f"{RESULTS}/logs/{{subject}}_scale.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_scale.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine scale --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule ik:
    input:
        merge=f"{RESULTS}/{{subject}}/done/merge",
        scale=f"{RESULTS}/{{subject}}/done/scale",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/ik"),
    log:
        f"{RESULTS}/logs/{{subject}}_ik.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_ik.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine ik --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule vertebrae:
    input:
        ik=f"{RESULTS}/{{subject}}/done/ik",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/vertebrae"),
    log:
        f"{RESULTS}/logs/{{subject}}_vertebrae.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_vertebrae.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine vertebrae --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule quality:
    input:
        vertebrae=f"{RESULTS}/{{subject}}/done/vertebrae",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/quality"),
    log:
        f"{RESULTS}/logs/{{subject}}_quality.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_quality.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine quality --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule export:
    input:
        quality=f"{RESULTS}/{{subject}}/done/quality",
        config=f"{RESULTS}/config.yaml",
    output:
        touch(f"{RESULTS}/{{subject}}/done/export"),
    log:
        f"{RESULTS}/logs/{{subject}}_export.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{subject}}_export.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine export --config {input.config:q} --subject {wildcards.subject:q} 2>&1 | tee {log:q}"


rule dataset:
    input:
        exports=expand(f"{RESULTS}/{{subject}}/done/export", subject=settings.subjects),
        config=f"{RESULTS}/config.yaml",
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
        "simspine export --config {input.config:q} 2>&1 | tee {log:q}"


rule page:
    input:
        summary=f"{RESULTS}/summary.json",
        config=f"{RESULTS}/config.yaml",
    output:
        report(f"{RESULTS}/report.html", category="Report"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine report --config {input.config:q} 2>&1 | tee {log:q}"
