"""Clinical parameters of standing adults without complaints, as data for tables. Degrees and millimetres here: they are
copied from papers and printed. Of lordosis and kyphosis: `simspine.spine.bands`.

grade: A read in an abstract or table; B transcribed in public code that cites the source; C from memory of the
literature, to be checked before it is called authoritative. No value is a limit: sitting or bending leaves it by
rights.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Adults:
    """mean ± sd of a parameter of `simspine.spine.clinical`, degrees or mm; None where only `text` says something."""

    mean: float | None
    sd: float | None
    source: str
    grade: str
    text: str = ""


_PELVIS = "Mac-Thiong 2011, Eur Spine J 20 S5:572, n = 709, half of mean ± 2 sd"
ADULTS = {
    "pelvic_incidence": Adults(53.0, 10.5, _PELVIS, "A"),
    "pelvic_tilt": Adults(13.5, 6.75, _PELVIS, "A"),
    "sacral_slope": Adults(39.5, 7.75, _PELVIS, "A"),
    "t1_slope": Adults(25.7, 6.4, "Lee 2012, J Spinal Disord Tech 25:E41, n = 77", "C"),
    "cervical_lordosis": Adults(
        14.3, 12.1, "Inoue 2020, Eur Spine J, n = 600; sd of 111 adolescents: Zhu 2022, PMC9440571", "A"
    ),
    "sagittal_vertical_axis": Adults(
        -21.6, 31.0, "Tang 2021, Eur Spine J 30:2427, n = 126 young adults; to the rear corner of S1", "A"
    ),
    "coronal_balance": Adults(None, None, "SRS", "C", "within 20 mm"),
    "coronal_cobb": Adults(None, None, "SRS", "C", "below 10°: no scoliosis"),
    "lumbopelvic_rhythm": Adults(
        None, None, "Tafazzol 2014, Clin Biomech 29:7, 8 men", "A", "2.5 at the beginning of bending, 1.3 at its end"
    ),
}
