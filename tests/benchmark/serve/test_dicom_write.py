"""SEG and SR of a frame refer to a secondary capture of that frame, never to the film that it comes from."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from page_server import dicom

from benchmark.prediction.findings import find_parts
from benchmark.serve.dicom_write import Stated, dicom_objects


def test_identifiers_of_a_film_are_kept_and_its_frame_is_an_object_of_its_own() -> None:
    film = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255
    source = pydicom.dcmread(io.BytesIO(dicom(film, "RGB")))
    stated = Stated("U-Net", "ab" * 32, find_parts(mask, 0.5), 0.5, {})
    made = {n: pydicom.dcmread(io.BytesIO(c)) for n, c in dicom_objects(film[1], mask, stated, source=source).items()}
    assert set(made) == {"picture.dcm", "segmentation.dcm", "report.dcm"}
    picture = made["picture.dcm"]
    assert np.array_equal(picture.pixel_array, film[1]) and picture.SOPInstanceUID != source.SOPInstanceUID
    assert all(one.StudyInstanceUID == source.StudyInstanceUID for one in made.values())
    (series,) = made["segmentation.dcm"].ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == [picture.SOPInstanceUID]
