"""The protocol in the records that the user means: by name, or by a TOML file."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics import PROTOCOLS, Protocol, load_protocol
from benchmark.metrics.named import protocol_of
from benchmark.report.records.select import check_records
from benchmark.store.schema import Record


def resolve_protocol(records: Sequence[Record], wanted: str) -> str:
    """Return the name under which the records hold the scores of a protocol.

    Args:
        records: ``run.json`` contents.
        wanted: A name, or the path of a TOML file; a file's scores are found by its hash, whatever its name.
    Raises:
        BenchError: No record has scores of it (the message says how to get them), it was scored in a different version,
            or the name or file is wrong.
    """
    check_records(records)
    held = {name: digest for r in records for name, digest in r.protocols.items()}
    if wanted.endswith(".toml"):
        return _by_hash(held, load_protocol(wanted), wanted)
    if held and wanted not in held:
        if wanted in PROTOCOLS:
            raise BenchError(
                f"protocol {wanted!r} was not scored here, the records hold {', '.join(sorted(held))}"
                f"{_why(PROTOCOLS[wanted])}; the same 'bench run' with --protocol {wanted} and --engine fast scores it "
                "without training"
            )
        raise unknown_name("protocol", wanted, {*held, *PROTOCOLS})
    return wanted


def rules_of(records: Sequence[Record], name: str) -> Protocol | None:
    """Return the protocol of a name in these records; None for a file's protocol in older records."""
    own = next((r.own_protocols[name] for r in records if name in r.own_protocols), None)
    if own is None:
        return PROTOCOLS.get(name)
    return protocol_of({**own, "name": name}, where=f"protocol {name} in the records")


def require_image_means(records: Sequence[Record], protocol: str, what: str) -> None:
    """Refuse outputs based on per-image scores under a protocol that counts the pixels of all images together.

    Raises:
        BenchError: It does.
    """
    rules = rules_of(records, protocol)
    if rules is not None and rules.average == "pixels":
        raise BenchError(
            f"{what}: protocol {rules.label} counts the pixels of all images together, so its figures are no means "
            "over images; choose a protocol that averages over images, such as --protocol half"
        )


def _why(protocol: Protocol) -> str:
    return " (engine 'reference' cannot follow it)" if protocol.reference_gap else ""


def _by_hash(held: dict[str, str], own: Protocol, file: str) -> str:
    same = sorted(name for name, digest in held.items() if digest == own.hash)
    if not same:
        state = "scored here in another version only" if own.name in held else "not scored here"
        raise BenchError(
            f"protocol {own.label} of {file} was {state}, the records hold {', '.join(sorted(held)) or 'none'}; "
            f"the same 'bench run' or 'bench evaluate' with --protocol {file} scores it without training"
        )
    return own.name if own.name in same else same[0]
