# The workflow's table of contents: jobs of a trial or a subject, each some stages in one process.
# `snakemake --cores N` runs the demo; `--configfile configs/mine.yaml` runs something else.
# A job leaves a list of its files with their checksums, which Snakemake goes by (pipeline/simspine/workflow/jobs.py).
# `tee` ignores SIGPIPE: a job whose run was killed goes on to its end, though nobody reads what it prints.
from snakemake.utils import min_version, validate

from simspine.config import check_config
from simspine.workflow.inputs import input_files, write_config
from simspine.workflow.jobs import lists_of, remove_false_lists

min_version("9.0")

# A given --configfile replaces the demo's configuration; Snakemake alone would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "configs/demo.yaml"


settings = check_config(
    config
)  # one line per fault, with the right key for a misspelt one
validate(config, "configs/schema.json")  # the same schema; fills in the defaults

RESULTS = config["results"]
OWN = f"{RESULTS}/{{subject}}/checksums"
LOGS = f"{RESULTS}/logs/{{subject}}"
TIMES = f"{RESULTS}/benchmarks/{{subject}}"

if workflow.is_main_process:
    remove_false_lists(settings)


wildcard_constraints:
    subject="[A-Za-z0-9][A-Za-z0-9_.-]*",
    trial="[A-Za-z0-9][A-Za-z0-9_.-]*",


localrules:
    all,
    configuration,


rule all:
    input:
        lists_of(settings),


# The resolved configuration, so that --config on the command line reaches the jobs too.
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
        f"{OWN}/capture.sha256",
    log:
        f"{LOGS}/capture.log",
    benchmark:
        f"{TIMES}/capture.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job capture --config {input.config:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


rule detect:
    input:
        videos=lambda w: input_files(settings, w.subject, w.trial),
        config=f"{RESULTS}/config.yaml",
    output:
        f"{OWN}/detect/{{trial}}.sha256",
    log:
        f"{LOGS}/{{trial}}_detect.log",
    benchmark:
        f"{TIMES}/{{trial}}_detect.tsv"
    conda:
        "environment.yml"
    threads: 1 if settings.detection.detector == "import" else 2
    shell:
        "simspine job detect --config {input.config:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


# Judged, and refined if asked, by all trials of the subject together.
rule cameras:
    input:
        lambda w: lists_of(settings, "detect", subject=w.subject),
        config=f"{RESULTS}/config.yaml",
    output:
        f"{OWN}/cameras.sha256",
    log:
        f"{LOGS}/cameras.log",
    benchmark:
        f"{TIMES}/cameras.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job cameras --config {input.config:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


# Triangulated and merged.
rule markers:
    input:
        f"{OWN}/detect/{{trial}}.sha256",
        f"{OWN}/cameras.sha256",
        config=f"{RESULTS}/config.yaml",
    output:
        f"{OWN}/markers/{{trial}}.sha256",
    log:
        f"{LOGS}/{{trial}}_markers.log",
    benchmark:
        f"{TIMES}/{{trial}}_markers.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job markers --config {input.config:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


# The person's body, from all trials together.
rule scale:
    input:
        lambda w: lists_of(settings, "markers", subject=w.subject),
        config=f"{RESULTS}/config.yaml",
    output:
        f"{OWN}/scale.sha256",
    log:
        f"{LOGS}/scale.log",
    benchmark:
        f"{TIMES}/scale.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job scale --config {input.config:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


# Inverse kinematics, vertebrae, quality, files of the release.
rule motion:
    input:
        f"{OWN}/markers/{{trial}}.sha256",
        f"{OWN}/scale.sha256",
        config=f"{RESULTS}/config.yaml",
    output:
        f"{OWN}/motion/{{trial}}.sha256",
    log:
        f"{LOGS}/{{trial}}_motion.log",
    benchmark:
        f"{TIMES}/{{trial}}_motion.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job motion --config {input.config:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


rule dataset:
    input:
        lists_of(settings, "motion"),
        config=f"{RESULTS}/config.yaml",
    output:
        f"{RESULTS}/checksums/dataset.sha256",
    log:
        f"{RESULTS}/logs/dataset.log",
    benchmark:
        f"{RESULTS}/benchmarks/dataset.tsv"
    conda:
        "environment.yml"
    shell:
        "simspine job dataset --config {input.config:q} 2>&1 | (trap '' PIPE; tee {log:q})"


# Pages of many trials are drawn so many at a time; Snakemake gives no more than the run's cores.
rule page:
    input:
        f"{RESULTS}/checksums/dataset.sha256",
        config=f"{RESULTS}/config.yaml",
    output:
        f"{RESULTS}/checksums/page.sha256",
    log:
        f"{RESULTS}/logs/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/page.tsv"
    conda:
        "environment.yml"
    threads: 100
    shell:
        "simspine job page --config {input.config:q} --cores {threads} 2>&1 | (trap '' PIPE; tee {log:q})"
