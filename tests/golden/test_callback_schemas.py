"""The published schemas fit the document's cases and ours, and refuse what is no callback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from lxml import etree

from smartcover.receiver import testing
from tools.callback_schemas import MODELS, check_complete

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parents[1] / "docs" / "schemas"
XML = [*sorted((HERE / "data").glob("*.xml")), *sorted((HERE / "ours").glob("callback-*.xml"))]
JSON = [*sorted((HERE / "data").glob("*.json")), *sorted((HERE / "ours").glob("callback-*.json"))]
ARRAYS = [{}, {"json_array": True}, {"workflow": True}, {"succeeded": False}]


@pytest.fixture(scope="module")
def xsd() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(SCHEMAS / "callbacks.xsd")))


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", XML, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_xsd_fits_the_documents_cases_and_ours(xsd: etree.XMLSchema, path: Path) -> None:
    parser = etree.XMLParser(remove_blank_text=True)
    xsd.assertValid(etree.fromstring(path.read_bytes().strip(), parser))


@pytest.mark.parametrize("path", JSON, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_json_schema_fits_the_documents_case_and_ours(path: Path) -> None:
    document = json.loads(path.read_bytes())
    validator("task-finish" if document["EventName"] == "TaskFinish" else "workflow-finish").validate(document)


@pytest.mark.parametrize("options", ARRAYS, ids=str)
def test_samples_of_jobs_fit(xsd: etree.XMLSchema, options: dict[str, Any]) -> None:
    xsd.assertValid(etree.fromstring(testing.task_finish(**options).body))
    validator("task-finish").validate(json.loads(testing.task_finish(format="JSON", **options).body))


@pytest.mark.parametrize("succeeded", [True, False])
def test_samples_of_workflow_runs_fit(xsd: etree.XMLSchema, succeeded: bool) -> None:
    xsd.assertValid(etree.fromstring(testing.workflow_finish(succeeded=succeeded).body))
    body = testing.workflow_finish(format="JSON", succeeded=succeeded).body
    validator("workflow-finish").validate(json.loads(body))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<EventName>TaskFinish</EventName>", b"<EventName>Other</EventName>"),
        (b"<EventName>TaskFinish</EventName>", b""),
        (b"<JobId>j6842765cf84611ecb8546d80f2baf56f</JobId>", b""),
        (b"<State>Success</State>", b"<State/>"),
        (b"2022-06-30T15:29:42+0800", b"yesterday"),
        (b"<Message/>", b"<Message/><Message/>"),
        (b"<Format/>", b"<Format>mp4</Format>"),
        (b"<JobsDetail>", b"<Jobs>"),
    ],
)
def test_the_xsd_refuses_what_is_no_callback(xsd: etree.XMLSchema, old: bytes, new: bytes) -> None:
    body = (HERE / "data" / "case1-api.xml").read_bytes().strip()
    assert old in body
    changed = body.replace(old, new).replace(b"</JobsDetail>", b"</Jobs>" if new == b"<Jobs>" else b"</JobsDetail>")
    assert not xsd.validate(etree.fromstring(changed, etree.XMLParser(remove_blank_text=True)))


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return change


def _with(value: object, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("EventName"),
        _with("WorkflowFinish", "EventName"),
        _without("JobsDetail", "JobId"),
        _without("JobsDetail", "Operation"),
        _with([], "JobsDetail"),
        _with("yesterday", "JobsDetail", "EndTime"),
        _with("output/smartcover-0.jpg", "JobsDetail", "Operation", "MediaResult", "OutputFile", "ObjectName"),
        _with(5, "JobsDetail", "Operation", "SmartCover", "Count"),
        _with({"Key": "a", "Value": "b"}, "JobsDetail", "Input", "CosHeaders"),
    ],
)
def test_the_json_schema_refuses_what_is_no_callback(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((HERE / "data" / "case3-workflow.json").read_bytes())
    changed = copy.deepcopy(document)
    change(changed)
    assert validator("task-finish").is_valid(document)
    assert not validator("task-finish").is_valid(changed)


def test_the_openapi_document_describes_both_webhooks_with_the_same_schemas() -> None:
    document = json.loads((SCHEMAS / "webhooks.openapi.json").read_text())
    assert document["openapi"].startswith("3.1.")
    assert set(document["webhooks"]) == {"taskFinish", "workflowFinish"}
    for name, file in (("TaskFinish", "task-finish"), ("WorkflowFinish", "workflow-finish")):
        published = json.loads((SCHEMAS / f"{file}.schema.json").read_text())
        del published["$schema"]
        assert document["components"]["schemas"][name] == published
        content = document["webhooks"][name[0].lower() + name[1:]]["post"]["requestBody"]["content"]
        assert content["application/json"]["schema"]["$ref"] == f"#/components/schemas/{name}"


def test_a_new_field_of_a_model_must_find_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    check_complete()
    monkeypatch.setitem(MODELS[0].model_fields, "new_field", MODELS[0].model_fields["event_name"])
    with pytest.raises(ValueError, match="new_field"):
        check_complete()
