"""Send an export to a dataset repository through ``huggingface_hub``, which resumes and skips what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark._version import __version__
from benchmark.errors import BenchError
from benchmark.maintenance.publishing.card import FOLDER, markdown
from benchmark.maintenance.publishing.parcel import About, Parcel, Sent, Target

_AGAIN = "run the same command again to go on"


def send(parcel: Parcel, target: Target, about: About, token: str, *, private: bool = False, bars: bool = True) -> Sent:
    """Make the repository if it is not there, and make its folder ``export`` hold this export.

    ``README.md`` comes last: a repository with it holds the whole export. Files of an earlier export in that folder
    that this one lacks are removed.

    Args:
        parcel: The export.
        target: The repository.
        about: Title and licence, for ``README.md``.
        token: May write there.
        private: A new repository is private. Of one that is there nothing changes.
        bars: Show the client's progress bars.
    Raises:
        BenchError: No such repository, no permission, or a connection that broke; a second call goes on.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise BenchError("publishing there needs huggingface_hub: pip install 'polyp-bench[publish]'") from None
    if not bars:
        disable_progress_bars()
    api = hub.HfApi(endpoint=target.host, token=token, library_name="polyp-bench", library_version=__version__)
    named = {"repo_id": target.name, "repo_type": "dataset"}
    message = f"Export of {len(parcel.records)} cells by polyp-bench {__version__}"
    with _one_line(target, token):
        api.create_repo(**named, private=private or None, exist_ok=True)
        folder = {"folder_path": parcel.root, "path_in_repo": FOLDER, "delete_patterns": "*"}
        api.upload_folder(**named, **folder, commit_message=message)
        card = markdown(parcel, about, target.name).encode()
        api.upload_file(**named, path_or_fileobj=card, path_in_repo="README.md", commit_message=message)
    return Sent(str(target), target.name, parcel.num_bytes + len(card), "")


@contextmanager
def _one_line(target: Target, token: str) -> Iterator[None]:
    """Turn what the client raises into one line.

    Whatever it is: its errors, and those of the HTTP library below it, which changed from version to version, share no
    class; nothing but the client's calls is in this block.
    """
    try:
        yield
    except Exception as error:
        chain = list(_chain(error))
        statuses = (getattr(getattr(one, "response", None), "status_code", None) for one in chain)
        status = next((one for one in statuses if isinstance(one, int)), None)
        said = _refusal(status) if status is not None else ""
        innermost = chain[-1] if status is None else chain[0]
        reason = said or f"{_text(innermost)}; {_AGAIN}"
        raise BenchError(f"{target}: {reason}".replace(token, "***")) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _refusal(status: int) -> str:
    if status == 401:
        return "the server does not accept the token of HF_TOKEN (401); create one that may write"
    if status == 403:
        return "HF_TOKEN may not write to this repository (403); use a token with write access, or another name"
    if status == 404:
        return "no such repository, or HF_TOKEN may not see it (404); check OWNER/NAME and the token's rights"
    return f"the server is busy or down ({status}); {_AGAIN}" if status >= 500 or status == 429 else ""


def _text(error: BaseException) -> str:
    """An error in at most 200 characters of one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
