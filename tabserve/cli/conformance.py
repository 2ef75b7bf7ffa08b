"""`tabserve conformance`: a line for each rule of the Open Inference Protocol."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
from rich.console import Console

from tabserve.conformance.answers import TIMEOUT_S, read_answer
from tabserve.conformance.rest import RestRules
from tabserve.conformance.rpc import GrpcRules
from tabserve.conformance.rules import Finding, RuleBroken, check_all
from tabserve.conformance.tensors import read_request
from tabserve.errors import ServiceUnreachable, WrongInput
from tabserve.exchange import address_of
from tabserve.printing import printable

_MARKS = {"kept": "[green]kept   [/]", "broken": "[red]broken [/]", "skipped": "[yellow]skipped[/]"}


class CheckedServer(NamedTuple):
    """What is to be checked.

    Attributes:
        url: of the server.
        model: a model that serves; None for the first that the server lists.
        grpc: host and port of gRPC; None to leave its rules out.
        request: file with an inference request that the model can answer; None to make one from its metadata.
        key: sent as a bearer token.
    """

    url: str
    model: str | None = None
    grpc: str | None = None
    request: Path | None = None
    key: str | None = None


def check_server(checked: CheckedServer, report: Path | None, console: Console) -> bool:
    """Check a server, print a line for each rule, and return whether none is broken.

    Args:
        checked: the server.
        report: file for the findings as JSON; None for none.
        console: where the lines go.

    Raises:
        ServiceUnreachable, MissingExtra, WrongInput.
    """
    findings = []
    for finding in find(checked):
        findings.append(finding)
        console.print(f"{_MARKS[finding.outcome]}  {finding.name}: {finding.says}  [dim]{finding.source}[/]")
        if finding.detail:
            console.print(f"         {printable(finding.detail)}", markup=False)
    counts = Counter(finding.outcome for finding in findings)
    console.print(f"{counts['kept']} kept, {counts['broken']} broken, {counts['skipped']} skipped", highlight=False)
    if report:
        document = {"url": checked.url, "grpc": checked.grpc, "findings": [each.document() for each in findings]}
        report.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return not counts["broken"]


def find(checked: CheckedServer) -> Iterator[Finding]:
    """Yield what is found of each rule.

    Raises:
        ServiceUnreachable, MissingExtra, WrongInput.
    """
    request = read_request(checked.request) if checked.request else None
    headers = {"authorization": f"Bearer {checked.key}"} if checked.key else {}
    with httpx.Client(base_url=address_of(checked.url), headers=headers, timeout=TIMEOUT_S) as client:
        model = checked.model or _first_model(client)
        yield from check_all(RestRules(client, model, request).rules())
    if checked.grpc:
        with closing(GrpcRules(checked.grpc, model, request, checked.key)) as over_grpc:
            yield from check_all(over_grpc.rules())


def _first_model(client: httpx.Client) -> str:
    """Return the first model that a server lists.

    The index is an extension that Triton, MLServer and Tabserve have.
    """
    try:
        listed = read_answer(client, "POST", "/v2/repository/index", json={"ready": True}).json()
        return str(listed[0]["name"])
    except httpx.TransportError as error:
        raise ServiceUnreachable(str(client.base_url), str(error) or type(error).__name__) from error
    except (RuleBroken, ValueError, LookupError, TypeError, RecursionError) as error:
        raise WrongInput("the server lists no model that serves; name one by --model") from error
