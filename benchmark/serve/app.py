"""The addresses: the page, its files, `/api/segment`, `/api/frames`, `/api/export`. FastAPI, an extra."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from benchmark._version import __version__
from benchmark.data.phantom.samples import NAMES, sample_picture
from benchmark.errors import BenchError, unknown_name
from benchmark.prediction.loaded import LoadedModel
from benchmark.robustness.denoising.classical import FRONT_ENDS
from benchmark.serve import exports
from benchmark.serve.access import LOOPBACK, Access
from benchmark.serve.answers import Asked, Seen, answer, look, png, unreadable
from benchmark.serve.inputs import MAX_UPLOAD_MB, Frame, Upload, open_upload
from benchmark.serve.turns import BusyError, Turns

HERE = Path(__file__).parent
MAX_OPEN = 8
"""Maximum number of simultaneous uploads."""


@dataclass
class Served:
    """What the application holds.

    Attributes:
        models: Loaded networks by id.
        facts: What is known of each, by id.
        turns: Gives the networks to one picture at a time.
        open: Number of uploads in progress.
    """

    models: Mapping[str, LoadedModel]
    facts: Mapping[str, Mapping[str, Any]]
    turns: Turns = field(default_factory=Turns)
    open: int = 0


def make_app(
    models: Mapping[str, LoadedModel],
    facts: Mapping[str, Mapping[str, Any]],
    *,
    hosts: tuple[str, ...] | None = LOOPBACK,
    token: str | None = None,
) -> Access:
    """The application around loaded networks, behind its checks of who asks."""
    served = Served(models, facts)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.turns.close()

    app = FastAPI(title="polyp-bench serve", version=__version__, docs_url=None, redoc_url=None, lifespan=life)
    app.state.served = served
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(BenchError, partial(_refused, 422))
    app.add_exception_handler(BusyError, partial(_refused, 503))
    app.add_api_route("/", _page, response_class=HTMLResponse, include_in_schema=False)
    app.add_api_route("/api", _api_page, response_class=HTMLResponse, include_in_schema=False)
    app.add_api_route("/api/models", _models, summary="The loaded networks and what is known of them")
    app.add_api_route("/api/sample/{name}", _sample, summary="A synthetic picture (PNG)", response_class=Response)
    app.add_api_route("/api/segment", _segment, methods=["POST"], summary="Predict one picture")
    app.add_api_route("/api/frames", _frames, methods=["POST"], summary="Predict every picture: one JSON object a line")
    app.add_api_route(
        "/api/export", _export, methods=["POST"], summary="Export one prediction", response_class=Response
    )
    return Access(app, hosts=hosts, token=token, max_body_mb=MAX_UPLOAD_MB)


async def _refused(status: int, _: Request, error: Exception) -> JSONResponse:
    headers = {"retry-after": "3"} if status == 503 else None
    return JSONResponse({"error": " ".join(str(error).split())}, status, headers)


@cache
def _templates() -> Any:
    import jinja2

    return jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


async def _page(request: Request) -> HTMLResponse:
    served = request.app.state.served
    fill = {
        "models": [{"id": name, "title": one.title, **served.facts[name]} for name, one in served.models.items()],
        "samples": NAMES,
        "denoisers": list(FRONT_ENDS),
        "version": __version__,
        "fields": exports.FIELDS,
    }
    return HTMLResponse(_templates().get_template("page.html").render(fill))


async def _api_page(request: Request) -> HTMLResponse:
    described = request.app.openapi()
    return HTMLResponse(_templates().get_template("api.html").render(api=described, version=__version__))


async def _models(request: Request) -> list[dict[str, Any]]:
    served = request.app.state.served
    return [{"id": name, "title": one.title, **served.facts[name]} for name, one in served.models.items()]


async def _sample(name: str) -> Response:
    if name not in NAMES:
        raise unknown_name("sample", name, NAMES)
    return Response(await asyncio.to_thread(lambda: png(sample_picture(name))), media_type="image/png")


async def _received(
    request: Request, file: Annotated[UploadFile, File(description="Picture, DICOM object, zip or video.")]
) -> AsyncIterator[Upload]:
    """An uploaded file in a temporary folder, which goes when the answer was sent, or nobody waits for it any more."""
    served = request.app.state.served
    if served.open >= MAX_OPEN:
        raise BusyError(f"busy: {served.open} uploads are being answered; try again in a few seconds")
    served.open += 1
    try:
        with tempfile.TemporaryDirectory(prefix="bench-serve-") as name:
            folder = Path(name)
            await asyncio.to_thread(_store, file, folder / "upload")
            try:
                yield await asyncio.to_thread(open_upload, folder / "upload")
            except BenchError as error:
                raise BenchError(_hidden(error, folder)) from None
    finally:
        served.open -= 1


Sent = Annotated[Upload, Depends(_received)]
Models = Annotated[str, Form(description="Ids of networks, comma-separated; empty: the first.")]
Threshold = Annotated[float, Form(ge=0, le=1, description="Polyp where the probability is above.")]
Flips = Annotated[bool, Form(description="Also predict mirror images, for their disagreement.")]
Denoise = Annotated[str, Form(description="Front end in front of the networks.")]
Picture = Annotated[bool, Form(description="Send the picture back as PNG.")]
Number = Annotated[int, Form(ge=0, description="Which picture of the file, from 0.")]


async def _segment(
    request: Request,
    upload: Sent,
    models: Models = "",
    threshold: Threshold = 0.5,
    flips: Flips = False,
    denoise: Denoise = "none",
    picture: Picture = False,
    number: Number = 0,
) -> dict[str, Any]:
    served = request.app.state.served
    asked = _asked(served, models, threshold, flips, denoise, picture)
    frame = await asyncio.to_thread(_nth, upload, number)
    found = await _one(served, frame, asked)
    return {"kind": upload.kind, "count": upload.count, "note": upload.note, **found}


async def _frames(
    request: Request,
    upload: Sent,
    models: Models = "",
    threshold: Threshold = 0.5,
    flips: Flips = False,
    denoise: Denoise = "none",
) -> StreamingResponse:
    served = request.app.state.served
    asked = _asked(served, models, threshold, flips, denoise, True)

    async def lines() -> AsyncIterator[bytes]:
        yield _line({"kind": upload.kind, "count": upload.count, "step": upload.step, "note": upload.note})
        frames = iter(upload.frames())
        try:
            while (frame := await asyncio.to_thread(next, frames, None)) is not None:
                yield _line(unreadable(frame) if frame.image is None else await _one(served, frame, asked))
        except (BenchError, BusyError) as error:
            yield _line({"error": _hidden(error, upload.path.parent)})

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def _one(served: Served, frame: Frame, asked: Asked) -> dict[str, Any]:
    seen = await served.turns.take(partial(look, served.models, frame, asked))
    return await asyncio.to_thread(answer, seen, served.models, asked)


async def _export(
    request: Request,
    upload: Sent,
    kind: Annotated[str, Form(description=f"One of {', '.join(exports.FORMATS)}.")],
    models: Models = "",
    threshold: Threshold = 0.5,
    denoise: Denoise = "none",
    number: Number = 0,
    fields: Annotated[str, Form(max_length=10_000, description="JSON object of the reader's entries.")] = "{}",
    identifiers: Annotated[bool, Form(description="Keep the patient and study of a DICOM object.")] = False,
) -> Response:
    served = request.app.state.served
    if kind not in exports.FORMATS:
        raise unknown_name("format", kind, exports.FORMATS)
    asked = _asked(served, models, threshold, False, denoise, False)
    entries = _entries(fields)
    frame = await asyncio.to_thread(_nth, upload, number)
    seen = await served.turns.take(partial(look, served.models, frame, asked))
    source = await asyncio.to_thread(_source, upload) if identifiers and kind == "dicom" else None
    made = await asyncio.to_thread(_made, served, seen, asked, entries, source, kind)
    headers = {"content-disposition": f'attachment; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


def _made(served: Served, seen: Seen, asked: Asked, entries: dict[str, str], source: Any, kind: Any) -> exports.File:
    name = asked.models[0]
    title, facts = served.models[name].title, served.facts[name]
    return exports.write(exports.Export(seen, name, title, facts, asked.threshold, entries, source), kind)


def _source(upload: Upload) -> Any:
    import pydicom

    if upload.kind != "dicom":
        raise BenchError("identifiers can be kept of a DICOM object only; send one, or leave them out")
    return pydicom.dcmread(upload.path)


def _asked(served: Served, models: str, threshold: float, flips: bool, denoise: str, picture: bool) -> Asked:
    names = tuple(dict.fromkeys(part.strip() for part in models.split(",") if part.strip()))
    for name in names:
        if name not in served.models:
            raise unknown_name("network", name, list(served.models))
    if denoise not in FRONT_ENDS:
        raise unknown_name("denoiser", denoise, list(FRONT_ENDS))
    return Asked(names or (next(iter(served.models)),), threshold, flips, denoise, picture)


def _entries(text: str) -> dict[str, str]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BenchError(f"fields: expected a JSON object of texts, with {', '.join(exports.FIELDS)}")
    for name in given:
        if name not in exports.FIELDS:
            raise unknown_name("field", name, exports.FIELDS)
    return {key: "".join(filter(str.isprintable, value))[: exports.LONGEST_FIELD] for key, value in given.items()}


def _store(file: UploadFile, path: Path) -> None:
    import shutil

    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)


def _hidden(error: Exception, folder: Path) -> str:
    """The message without the place where the upload lies."""
    return " ".join(str(error).replace(f"{folder}/", "").split())


def _nth(upload: Upload, number: int) -> Frame:
    """One picture of an upload."""
    for place, frame in enumerate(upload.frames()):
        if place == number:
            if frame.image is None:
                raise BenchError(frame.error or "this picture cannot be read")
            return frame
    raise BenchError(f"number {number}: the file holds fewer pictures; count from 0")


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
