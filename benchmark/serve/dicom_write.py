"""DICOM of one prediction: the picture as secondary capture, a segmentation (SEG) and a structured report (SR).

Without identifiers (the default) a new study is made: the picture is stored again as secondary capture with new UIDs,
and SEG and SR refer to that. With identifiers, which a user must choose, SEG and SR carry the patient and study of the
object that was sent and refer to it; of an object of several frames to a secondary capture of the frame, in its study.
highdicom writes them, an extra.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark._version import __version__
from benchmark.errors import BenchError
from benchmark.prediction.findings import Finding

Pixels = NDArray[np.uint8]
MAKER = "polyp-bench"
RESEARCH = "Research use only; not a medical device"
_LABEL = "Polyp (model output)"


@dataclass(frozen=True)
class Stated:
    """What is written into the objects.

    Attributes:
        model: Title of the network.
        weights: SHA-256 of its weights.
        findings: Parts of the mask.
        threshold: Of the mask.
        fields: What the clinician filled in, by name.
    """

    model: str
    weights: str
    findings: Sequence[Finding]
    threshold: float
    fields: dict[str, str]


def dicom_objects(image: Pixels, mask: Pixels, stated: Stated, *, source: Any | None = None) -> dict[str, bytes]:
    """The objects by file name.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 0 and 255.
        stated: What they say.
        source: The data set that was sent, if SEG and SR are to refer to it and to carry its identifiers; else None.
    Raises:
        BenchError: The data set lacks what such objects need.
    """
    try:
        kept = source is not None and int(source.get("NumberOfFrames") or 1) == 1
        shown = source if kept else _secondary_capture(image, source)
        made = {"segmentation.dcm": _segmentation(shown, mask, stated), "report.dcm": _report(shown, stated)}
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise BenchError(f"DICOM: no SEG and SR can refer to this object ({_line(error)})") from None
    objects = made if kept else {"picture.dcm": shown, **made}
    return {name: _bytes(one) for name, one in objects.items()}


def _secondary_capture(image: Pixels, source: Any | None) -> Any:
    """Return the picture as a separate object: in the study of ``source``, or in a new anonymous one."""
    from highdicom import UID
    from highdicom.sc import SCImage

    common: dict[str, Any] = {
        "pixel_array": image,
        "photometric_interpretation": "RGB",
        "bits_allocated": 8,
        "coordinate_system": "PATIENT",
        "series_instance_uid": UID(),
        "series_number": 1,
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "patient_orientation": ("L", "F"),
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    if source is not None:
        shown = SCImage.from_ref_dataset(source, **common)
    else:
        shown = SCImage(study_instance_uid=UID(), **common)
    shown.PatientOrientation = None  # an endoscope's picture has none
    return shown


def _algorithm(stated: Stated) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    return AlgorithmIdentificationSequence(
        name=stated.model[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        source=MAKER,
        parameters={"threshold": f"{stated.threshold:g}", "weights_sha256": stated.weights},
    )


def _segmentation(shown: Any, mask: Pixels, stated: Stated) -> Any:
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    described = SegmentDescription(
        segment_number=1,
        segment_label=_LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=CodedConcept("41329004", "SCT", "Polyp"),
        algorithm_type="AUTOMATIC",
        algorithm_identification=_algorithm(stated),
        tracking_uid=UID(),
        tracking_id="model output",
    )
    return Segmentation(
        source_images=[shown],
        pixel_array=(mask > 0)[None],
        segmentation_type="BINARY",
        segment_descriptions=[described],
        series_instance_uid=UID(),
        series_number=100,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name="bench serve",
        software_versions=__version__,
        device_serial_number="none",
        content_description=RESEARCH,
        content_label="POLYP",
        omit_empty_frames=False,
    )


def _report(shown: Any, stated: Stated) -> Any:
    from highdicom import UID, sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = sr.DeviceObserverIdentifyingAttributes(uid=generate_uid(), name=f"{MAKER} {__version__}")
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )
    content = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_colonoscopy(),
        imaging_measurements=[_measured(shown, one, stated) for one in stated.findings],
        title=codes.DCM.ImagingMeasurementReport,
    )
    for label, value in {"note": RESEARCH, **stated.fields}.items():
        if value:
            content[0].ContentSequence.append(_comment(f"{label}: {value}"))
    report = sr.ComprehensiveSR(
        evidence=[shown],
        content=content[0],
        series_instance_uid=UID(),
        series_number=101,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=MAKER,
    )
    report.SeriesDescription = RESEARCH
    return report


def _comment(text: str) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    return sr.TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS)


def _colonoscopy() -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept("73761001", "SCT", "Colonoscopy")


def _measured(shown: Any, one: Finding, stated: Stated) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    left, top, width, height = one.box_px
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height), (left, top)]
    region = sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=np.array(corners, dtype=np.float64),
        source_image=sr.SourceImageForRegion.from_source_image(shown),
    )
    pixels, ratio = sr.CodedConcept("{pixels}", "UCUM", "pixels"), sr.CodedConcept("1", "UCUM", "no units")
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identifier=f"finding {one.number}"),
        referenced_region=region,
        finding_type=sr.CodedConcept("41329004", "SCT", "Polyp"),
        algorithm_id=sr.AlgorithmIdentification(
            name=stated.model[:64], version=__version__, parameters=[f"threshold {stated.threshold:g}"]
        ),
        measurements=[
            sr.Measurement(name=codes.SCT.Area, value=float(one.area_px), unit=pixels),
            sr.Measurement(
                name=sr.CodedConcept("field-share", "99BENCH", "Share of the field of view"),
                value=one.area_share,
                unit=ratio,
            ),
            sr.Measurement(
                name=sr.CodedConcept("mean-prob", "99BENCH", "Mean probability, not calibrated"),
                value=one.mean_prob,
                unit=ratio,
            ),
        ],
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


def _bytes(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
