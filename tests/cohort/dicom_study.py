"""Synthetic DICOM exports with unmistakable identifying texts, classic and enhanced MR."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

ROWS, COLUMNS, SLICES = 64, 48, 24
SPACING = (2.0, 2.5)  # between rows, between columns
THICKNESS = 5.0
# axial, tilted by ten degrees about the patient's left-right axis
ORIENTATION = [1.0, 0.0, 0.0, 0.0, float(np.cos(0.17)), float(np.sin(0.17))]
CORNER = np.array([-60.0, -70.0, -30.0])


@dataclass
class Person:
    """A patient, as hospitals write them down."""

    patient: str
    name: str
    born: str
    texts: dict[str, str] = field(default_factory=dict)

    def identifying(self) -> list[str]:
        """Every text that must not reach an output."""
        return [self.patient, *self.name.split("^"), self.born, *self.texts.values()]


ANNA = Person(
    "HOSP-0815-4711",
    "Quastenflosser^Annabella",
    "19630517",
    {
        "InstitutionName": "Klinikum Zwieselbach",
        "ReferringPhysicianName": "Dr^Hutzelmann",
        "OperatorsName": "Pfefferkorn",
        "AccessionNumber": "ACC99887766",
        "PatientComments": "daughter of Eusebius",
        "StationName": "MRZWIES7",
        "PatientAddress": "Lindwurmgasse",
        "StudyDescription": "Kopf Quastenflosser Kontrolle",
        "DeviceSerialNumber": "SN5551212",
    },
)
BERT = Person(
    "HOSP-2222-1111",
    "Knüppeldick^Berthold",
    "19811103",
    {"InstitutionName": "Hospital Uhlenhorst", "AccessionNumber": "ACC11223344"},
)
FLAIR = {
    "SeriesDescription": "t2_space_dark-fluid_sag Quastenflosser",
    "ProtocolName": "t2_space_dark-fluid_sag",
    "EchoTime": 120.0,
    "RepetitionTime": 8000.0,
    "InversionTime": 2370.0,
    "MRAcquisitionType": "3D",
    "ScanningSequence": ["SE", "IR"],
}
MPRAGE = {
    "SeriesDescription": "t1_mprage",
    "ProtocolName": "t1_mprage",
    "EchoTime": 2.98,
    "RepetitionTime": 2300.0,
    "InversionTime": 900.0,
    "MRAcquisitionType": "3D",
    "ScanningSequence": ["GR", "IR"],
}
LOCALIZER = {
    "SeriesDescription": "localizer",
    "ProtocolName": "localizer",
    "EchoTime": 80.0,
    "RepetitionTime": 2000.0,
    "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    "ScanningSequence": "SE",
}


def normal() -> np.ndarray:
    return np.cross(ORIENTATION[:3], ORIENTATION[3:])


def voxels(seed: int, slices: int = SLICES) -> np.ndarray:
    """Return (slices, rows, columns) values, each voxel its own."""
    return np.random.default_rng(seed).integers(0, 4000, (slices, ROWS, COLUMNS), dtype=np.uint16)


def write_classic(
    folder: Path,
    person: Person,
    study: str,
    number: int,
    fields: dict[str, Any],
    *,
    seed: int = 0,
    slices: int = SLICES,
    date: str = "20210304",
    name: str = "IM{:04d}",
) -> np.ndarray:
    """Write a series, a file a slice, in no order of names; return its voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    values = voxels(seed, slices)
    series = generate_uid(entropy_srcs=[study, str(number)])
    for place in range(slices):
        header = _header(
            person,
            study,
            series,
            number,
            date=date,
            fields=fields,
            kind=MRImageStorage,
            place=place,
        )
        header.SliceThickness = THICKNESS
        header.SpacingBetweenSlices = THICKNESS
        header.InstanceNumber = place + 1
        header.ImageOrientationPatient = ORIENTATION
        header.ImagePositionPatient = (CORNER + place * THICKNESS * normal()).round(5).tolist()
        header.PixelSpacing = list(SPACING)
        header.PixelData = values[place].tobytes()
        # names in no order of place, without ending
        header.save_as(folder / name.format((place * 7) % 1009), enforce_file_format=True)
    return values


def write_enhanced(
    path: Path, person: Person, study: str, number: int, fields: dict[str, Any], *, seed: int = 0
) -> np.ndarray:
    """Write a series as one multi-frame file; return its voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = voxels(seed)
    series = generate_uid(entropy_srcs=[study, str(number)])
    own = {
        key: value
        for key, value in fields.items()
        if key in ("SeriesDescription", "ProtocolName", "MRAcquisitionType")
    }
    header = _header(
        person, study, series, number, date="20210305", fields=own, kind=EnhancedMRImageStorage
    )
    header.ImageType = ["ORIGINAL", "PRIMARY", "T2", "NONE"]
    header.NumberOfFrames = SLICES
    organization = generate_uid(entropy_srcs=[study, "organization"])
    header.DimensionOrganizationSequence = one(DimensionOrganizationUID=organization)
    header.DimensionIndexSequence = Sequence(
        [
            _item(DimensionOrganizationUID=organization, DimensionIndexPointer=pointer)
            for pointer in (0x00209056, 0x00209057)
        ]
    )
    timing = {"RepetitionTime": fields["RepetitionTime"], "FlipAngle": 90.0, "EchoTrainLength": 1}
    modifier = {"InversionRecovery": "YES", "InversionTimes": fields["InversionTime"]}
    header.SharedFunctionalGroupsSequence = one(
        PixelMeasuresSequence=one(
            PixelSpacing=list(SPACING), SliceThickness=THICKNESS, SpacingBetweenSlices=THICKNESS
        ),
        PlaneOrientationSequence=one(ImageOrientationPatient=ORIENTATION),
        MRTimingAndRelatedParametersSequence=one(**timing),
        MRModifierSequence=one(**modifier),
        MREchoSequence=one(EffectiveEchoTime=fields["EchoTime"]),
        MRImagingModifierSequence=one(TransmitterFrequency=123.2),
    )
    header.PerFrameFunctionalGroupsSequence = Sequence([_frame(place) for place in range(SLICES)])
    header.PixelData = values.tobytes()
    header.save_as(path, enforce_file_format=True)
    return values


def _frame(place: int) -> Dataset:
    position = (CORNER + place * THICKNESS * normal()).round(5).tolist()
    content = {
        "StackID": "1",
        "InStackPositionNumber": place + 1,
        "DimensionIndexValues": [1, place + 1],
        "FrameAcquisitionNumber": 1,
    }
    return _item(
        FrameContentSequence=one(**content),
        PlanePositionSequence=one(ImagePositionPatient=position),
    )


def _header(
    person: Person,
    study: str,
    series: str,
    number: int,
    *,
    date: str,
    fields: dict[str, Any],
    kind: str,
    place: int = 0,
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(place)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID, header.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    header.PatientID, header.PatientName = person.patient, person.name
    header.PatientBirthDate = person.born
    for name, text in person.texts.items():
        setattr(header, name, text)
    header.StudyInstanceUID = generate_uid(entropy_srcs=[person.patient, study])
    header.SeriesInstanceUID, header.SeriesNumber = series, number
    header.FrameOfReferenceUID = generate_uid(entropy_srcs=[study, "frame"])
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = date
    header.StudyTime = header.SeriesTime = header.AcquisitionTime = f"1015{number:02d}"
    header.Modality, header.Manufacturer = "MR", "Philips Medical Systems"
    header.ManufacturerModelName, header.MagneticFieldStrength = "Ingenia", 3.0
    header.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    header.FlipAngle = 90.0
    header.Rows, header.Columns = ROWS, COLUMNS
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelRepresentation = 0
    for name, value in fields.items():
        setattr(header, name, value)
    return header


def _item(**fields: Any) -> Dataset:
    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return item


def one(**fields: Any) -> Sequence:
    """Return a sequence of one item."""
    return Sequence([_item(**fields)])


def dates_of(person: Person) -> list[str]:
    """The birth date as people and programs write it."""
    born = datetime.date.fromisoformat(f"{person.born[:4]}-{person.born[4:6]}-{person.born[6:]}")
    return [person.born, born.isoformat(), born.strftime("%d.%m.%Y")]
