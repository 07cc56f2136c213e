# The workflow's table of contents: jobs of a trial or a subject, each some stages in one process.
# `snakemake --cores N` runs the demo; `--configfile configs/mine.yaml` runs something else.
# Snakemake only puts them in order: manifests say what is done, and before it plans each job that is done gets a mark
# (pipeline/simspine/workflow/jobs.py). A job whose inputs turn out equal finds out that there is nothing to do.
# `tee` ignores SIGPIPE: a job whose run was killed goes on to its end, though nobody reads what it prints.
from pathlib import Path

from snakemake.utils import min_version

from simspine.workflow.config import read_config
from simspine.workflow.inputs import check_inputs
from simspine.workflow.launch import refuse_other_settings
from simspine.workflow.jobs import STATE, marks_before_detect, marks_of
from simspine.workflow.jobs import prepare_results
from simspine.workflow.jobs import mark_done

min_version("9.0")

# A given --configfile replaces the demo's configuration; Snakemake alone would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "configs/demo.yaml"


# Jobs read the same file, so --config and further files are refused.
refuse_other_settings(workflow.config_settings.config, workflow.configfiles)
CONFIG = Path(workflow.configfiles[0])
# Rules take it from a function: braces in a name are no wildcards.
GIVEN = ["--config", str(CONFIG)]
# One line per fault, with the right key for a misspelt one.
settings = read_config(CONFIG)

RESULTS = settings.results
DONE = f"{RESULTS}/{STATE}/done"
LOGS = f"{RESULTS}/logs/{{subject}}"

if workflow.is_main_process:
    check_inputs(settings)
    mark_done(settings)


onstart:
    prepare_results(Path(RESULTS), CONFIG)


wildcard_constraints:
    subject="[A-Za-z0-9][A-Za-z0-9_.-]*",
    trial="[A-Za-z0-9][A-Za-z0-9_.-]*",


localrules:
    all,


rule all:
    input:
        marks_of(settings),


# Only where the configuration has a section `virtual`.
rule capture:
    output:
        touch(f"{DONE}/{{subject}}/capture.done"),
    log:
        f"{LOGS}/capture.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job capture {params.given:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


rule detect:
    input:
        lambda w: marks_before_detect(settings, w.subject, w.trial),
    output:
        touch(f"{DONE}/{{subject}}/detect/{{trial}}.done"),
    log:
        f"{LOGS}/{{trial}}_detect.log",
    conda:
        "environment.yml"
    threads: 1 if settings.detection.detector == "import" else 2
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job detect {params.given:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


# Judged, and refined if asked, by all trials of the subject together.
rule cameras:
    input:
        lambda w: marks_of(settings, "detect", subject=w.subject),
    output:
        touch(f"{DONE}/{{subject}}/cameras.done"),
    log:
        f"{LOGS}/cameras.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job cameras {params.given:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


# Triangulated and merged.
rule markers:
    input:
        f"{DONE}/{{subject}}/detect/{{trial}}.done",
        f"{DONE}/{{subject}}/cameras.done",
    output:
        touch(f"{DONE}/{{subject}}/markers/{{trial}}.done"),
    log:
        f"{LOGS}/{{trial}}_markers.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job markers {params.given:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


# The person's body, from all trials together.
rule scale:
    input:
        lambda w: marks_of(settings, "markers", subject=w.subject),
    output:
        touch(f"{DONE}/{{subject}}/scale.done"),
    log:
        f"{LOGS}/scale.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job scale {params.given:q} --subject {wildcards.subject:q}"
        " 2>&1 | (trap '' PIPE; tee {log:q})"


# Inverse kinematics, vertebrae, quality, files of the release.
rule motion:
    input:
        f"{DONE}/{{subject}}/markers/{{trial}}.done",
        f"{DONE}/{{subject}}/scale.done",
    output:
        touch(f"{DONE}/{{subject}}/motion/{{trial}}.done"),
    log:
        f"{LOGS}/{{trial}}_motion.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job motion {params.given:q} --subject {wildcards.subject:q}"
        " --trial {wildcards.trial:q} 2>&1 | (trap '' PIPE; tee {log:q})"


rule dataset:
    input:
        marks_of(settings, "motion"),
    output:
        touch(f"{DONE}/dataset.done"),
    log:
        f"{RESULTS}/logs/dataset.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job dataset {params.given:q} 2>&1 | (trap '' PIPE; tee {log:q})"


rule page:
    input:
        f"{DONE}/dataset.done",
    output:
        touch(f"{DONE}/page.done"),
    log:
        f"{RESULTS}/logs/page.log",
    conda:
        "environment.yml"
    params:
        given=lambda wildcards: GIVEN,
    shell:
        "simspine job page {params.given:q} 2>&1 | (trap '' PIPE; tee {log:q})"
