"""`bench serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import TOOLS, app
from benchmark.cli.options import CELL_HELP, Device, ItsNetwork, ItsRecipe, Results, Weights, check_network
from benchmark.cli.printing import tell
from benchmark.errors import BenchError


@app.command(rich_help_panel=TOOLS)
def serve(
    run: Annotated[
        list[str] | None, typer.Option(help=f"A folder with run.json. Or: {CELL_HELP} Several: repeat.")
    ] = None,
    model: ItsNetwork = None,
    checkpoint: Weights = None,
    recipe: ItsRecipe = "native",
    port: Annotated[int, typer.Option(help="Port; 0: a free one.", min=0, max=65535)] = 8600,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine a token is needed, which is printed.")
    ] = "127.0.0.1",
    results: Results = Path("results"),
    device: Device = "auto",
) -> None:
    """Show in a browser what trained networks see in a picture, a DICOM object, a zip or a video.

    Research use, not a medical device. Nothing that is sent is kept. Several cells can be compared side by side.

    Example: bench serve --run bsanet/quick --run unet/quick
    """
    check_network(bool(run), model, checkpoint)
    _need_extra()
    from benchmark.serve import server  # after the mistakes: it loads torch

    bound = server.listen(host, port)
    try:
        if run:
            loaded = server.load_cells(run, model=model, results=results, device=device)
        else:
            assert model is not None and checkpoint is not None, "checked before"
            loaded = server.load_released(model, checkpoint, recipe=recipe, device=device)
        server.serve(loaded, bound, host, tell)
    finally:
        bound.close()


def _need_extra() -> None:
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn", "python_multipart", "pydicom", "highdicom", "reportlab", "av"):
        if find_spec(package) is None:
            raise BenchError(f"{package} is not installed; python -m pip install 'polyp-bench[serve]'")
