"""Make a scan table from a data set or from several scan tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from msnmo.cohort import (
    bids,
    dicom,
    isbi2015,
    merge,
    mslesseg,
    msseg2,
    msseg2016,
    open_ms,
    wmh2017,
)
from msnmo.cohort.archives import archives_in, packed_findings, refuse_archive
from msnmo.cohort.importing import (
    left_out_path,
    packed,
    refuse_to_replace,
    write_scan_table,
)
from msnmo.core.cells import show_hidden
from msnmo.core.command import program
from msnmo.core.counts import counted
from msnmo.core.diagnoses import NO_DIAGNOSIS, add_diagnoses, use_given
from msnmo.core.errors import InputError, run_command
from msnmo.core.extras import EXTRAS, require_extra
from msnmo.core.paths import path_argument

IMPORTERS = {
    each.NAME: each
    for each in (bids, isbi2015, open_ms, msseg2016, msseg2, mslesseg, wmh2017, dicom, merge)
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the scan table, and next to it a list of what was left out and why."""
    given = make_parser().parse_args(arguments)
    use_given(given.diagnoses)
    if given.importer in EXTRAS:
        require_extra(given.importer, f"msnmo cohort {given.importer}")
    refuse_to_replace(given.out)
    # the importers of DICOM and BIDS report theirs
    of_layout = "folder" in given and given.importer not in {bids.NAME, dicom.NAME}
    if "folder" in given:
        refuse_archive(given.folder)
    archives = archives_in(given.folder) if of_layout else []
    try:
        imported = IMPORTERS[given.importer].collect(given)
    except InputError as error:
        raise InputError([*error.findings, *packed_findings(archives)]) from None
    imported.left_out.extend(packed(archives))
    cohort = write_scan_table(given.out, imported)
    names = cohort["diagnosis"].where(cohort["diagnosis"] != "", "for prediction only")
    unnamed = (cohort["diagnosis"] == "") & (cohort["lesion_mask"] != "")
    counts = names.mask(unnamed, NO_DIAGNOSIS).value_counts().sort_index()
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    scans = counted(len(cohort), "scan")
    subjects = counted(cohort["subject"].nunique(), "subject")
    print(f"{given.out}: {scans} of {subjects}: {told}")
    for each in imported.left_out:
        print(show_hidden(f"  {each.file}: {each.reason}"))
    if imported.left_out:
        print(f"{counted(len(imported.left_out), 'note')}, in {left_out_path(given.out)}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command, with a subparser for each importer."""
    parser = argparse.ArgumentParser(
        prog=program("msnmo.cohort"),
        description=__doc__,
        epilog=f"Example (each NAME has its own --help):\n  {bids.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="importer", required=True, metavar="NAME")
    for name, importer in IMPORTERS.items():
        subparser = subparsers.add_parser(
            name,
            help=importer.HELP,
            description=importer.__doc__,
            epilog=f"Example:\n  {importer.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        importer.add_arguments(subparser)
        add_diagnoses(subparser)
        subparser.add_argument(
            "--out", type=path_argument, required=True, help="the scan table to write"
        )
    return parser


if __name__ == "__main__":
    run_command(main)
