"""
Two teams with the official Python SDK, unmodified, on one server that runs as a process of its own.

Each has a key pair that the operator made with the command line, and every right in its own bucket. Whatever one asks
about the other's bucket is 403 AccessDenied, as of the cloud; what one asks about the other's ids in its own bucket
is answered as of ids that were never given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from tests.postgres import cluster
from tests.roles import Roles

REGION = "ap-chongqing"
OURS, THEIRS = "teama-1250000000", "teamb-1250000000"
#: A bucket of the other team that does not exist is refused as one that does.
NONE_OF_THEIRS = "teamb-none-1250000000"
XML = "application/xml"
pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Team:
    """A team, what it has stored, and the ways in which its clients reach the server."""

    bucket: str
    port: int
    secret_id: str
    secret_key: str

    def client(self, mode: str = "address", bucket: str | None = None) -> CosS3Client:
        """Make a client; a path holds the bucket that the client is made for."""
        places: dict[str, dict[str, Any]] = {
            "address": {"IP": "127.0.0.1", "Port": self.port},
            "proxy": {"Proxies": {"http": f"http://127.0.0.1:{self.port}"}},
            "bucket in path": {"Domain": f"127.0.0.1:{self.port}/{bucket or self.bucket}"},
        }
        known = {"Region": REGION, "SecretId": self.secret_id, "SecretKey": self.secret_key, "Scheme": "http"}
        return CosS3Client(CosConfig(**known, **places[mode]), retry=0)


@dataclass(frozen=True)
class Installation:
    """A running API, both teams, and the ids of all that the second team has."""

    ours: Team
    theirs: Team
    ids: dict[str, str]


def job_for(bucket: str) -> dict[str, Any]:
    return {
        "Tag": "SmartCover",
        "Input": {"Object": "in/a.mp4"},
        "Operation": {
            "SmartCover": {"Format": "jpg", "Count": "1"},
            "Output": {"Region": REGION, "Bucket": bucket, "Object": "out/${Number}.jpg"},
        },
    }


def workflow_for(bucket: str, queue_id: str, name: str = "covers") -> dict[str, Any]:
    cover = {"Format": "jpg", "Count": "1"}
    output = {"Region": REGION, "Bucket": bucket, "Object": "out/${RunId}/${Number}.jpg"}
    return {
        "MediaWorkflow": {
            "Name": name,
            "State": "Paused",
            "Topology": {
                "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
                "Nodes": {
                    "Start": {"Type": "Start", "Input": {"QueueId": queue_id, "ObjectPrefix": "in/"}},
                    "SmartCover_1": {"Type": "SmartCover", "Operation": {"Output": output, "SmartCover": cover}},
                },
            },
        }
    }


def batch_for(bucket: str) -> dict[str, Any]:
    output = {"Region": REGION, "Bucket": bucket, "Object": "out/${InputName}-${Number}.jpg"}
    operation = {"Tag": "SmartCover", "JobParam": {"SmartCover": {"Count": "1"}}, "Output": output}
    return {"Name": "stock", "Type": "Job", "Input": {"Prefix": "in/"}, "Operation": operation}


TEMPLATE = {"Tag": "SmartCover", "Name": "t", "SmartCover": {"Format": "jpg", "Count": "1"}}


def first(detail: Any) -> dict[str, Any]:
    """The SDK makes a list of some details."""
    return dict(detail[0] if isinstance(detail, list) else detail)


def stock(team: Team) -> dict[str, str]:
    """Let a team have one of everything; gives the ids."""
    client, bucket = team.client(), team.bucket
    client.put_object(Bucket=bucket, Key="in/a.mp4", Body=b"no video at all")
    queue_id = first(client.ci_get_media_queue(Bucket=bucket)["QueueList"])["QueueId"]
    job = client.ci_create_media_jobs(Bucket=bucket, Jobs=job_for(bucket), Lst={}, ContentType=XML)
    template = client.ci_create_template(Bucket=bucket, Template=TEMPLATE, ContentType=XML)
    workflow = client.ci_create_workflow(Bucket=bucket, Body=workflow_for(bucket, queue_id), ContentType=XML)
    workflow_id = workflow["MediaWorkflow"]["WorkflowId"]
    run = client.ci_trigger_workflow(Bucket=bucket, WorkflowId=workflow_id, Key="in/a.mp4")
    batch = client.ci_create_inventory_trigger_jobs(Bucket=bucket, JobBody=batch_for(bucket), ContentType=XML)
    return {
        "queue": queue_id,
        "job": first(job["JobsDetail"])["JobId"],
        "template": first(template["Template"])["TemplateId"],
        "workflow": workflow_id,
        "run": run["InstanceId"],
        "batch": first(batch["JobsDetail"])["JobId"],
        "upload": client.create_multipart_upload(Bucket=bucket, Key="in/big.mp4")["UploadId"],
    }


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("teams")
    environment = {
        "SMARTCOVER_DATABASE_URL": cluster().make_database(),
        "SMARTCOVER_STORAGE": f"file:{folder / 'objects'}",
        "SMARTCOVER_BUCKETS": f"{OURS},{THEIRS}",
        "SMARTCOVER_REGION": REGION,
        "SMARTCOVER_KEYS_SECRET": "the master secret of these tests",
    }
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}

    def made_for(bucket: str, port: int) -> Team:
        name = bucket.partition("-")[0]
        words = ["add", name, "--bucket", f"{name}-*", "--right", "read", "--right", "submit", "--right", "admin"]
        done = subprocess.run(
            [sys.executable, "-m", "smartcover", "keys", *words, "--json"],
            env={**bare, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        pair = json.loads(done.stdout)
        return Team(bucket, port, pair["secret_id"], pair["secret_key"])

    roles = Roles(folder, environment)
    try:
        # Before the API starts, which reads them then; changes on the way are another test's.
        ours, theirs = made_for(OURS, roles.port), made_for(THEIRS, roles.port)
        roles.start("api")
        stock(ours)
        yield Installation(ours, theirs, stock(theirs))
    finally:
        roles.stop()


Act = Callable[[CosS3Client, str, dict[str, str]], Any]
"""A call of a client about a bucket, with ids of the team that has the bucket."""

CALLS: dict[str, Act] = {
    "put an object": lambda c, b, i: c.put_object(Bucket=b, Key="in/x.mp4", Body=b"x"),
    "get an object": lambda c, b, i: c.get_object(Bucket=b, Key="in/a.mp4"),
    "ask about an object": lambda c, b, i: c.head_object(Bucket=b, Key="in/a.mp4"),
    "delete an object": lambda c, b, i: c.delete_object(Bucket=b, Key="in/a.mp4"),
    "delete several objects": lambda c, b, i: c.delete_objects(Bucket=b, Delete={"Object": [{"Key": "in/a.mp4"}]}),
    "copy an object": lambda c, b, i: c.copy_object(
        Bucket=b, Key="in/y.mp4", CopySource={"Bucket": OURS, "Key": "in/a.mp4", "Region": REGION}
    ),
    "list objects": lambda c, b, i: c.list_objects(Bucket=b),
    "start an upload": lambda c, b, i: c.create_multipart_upload(Bucket=b, Key="in/x.mp4"),
    "upload a part": lambda c, b, i: c.upload_part(
        Bucket=b, Key="in/big.mp4", Body=b"x", PartNumber=1, UploadId=i["upload"]
    ),
    "list parts": lambda c, b, i: c.list_parts(Bucket=b, Key="in/big.mp4", UploadId=i["upload"]),
    "complete an upload": lambda c, b, i: c.complete_multipart_upload(
        Bucket=b, Key="in/big.mp4", UploadId=i["upload"], MultipartUpload={"Part": [{"PartNumber": 1, "ETag": '"x"'}]}
    ),
    "abort an upload": lambda c, b, i: c.abort_multipart_upload(Bucket=b, Key="in/big.mp4", UploadId=i["upload"]),
    "list uploads": lambda c, b, i: c.list_multipart_uploads(Bucket=b),
    "ask about a bucket": lambda c, b, i: c.head_bucket(Bucket=b),
    "make a bucket": lambda c, b, i: c.create_bucket(Bucket=b),
    "delete a bucket": lambda c, b, i: c.delete_bucket(Bucket=b),
    "submit a job": lambda c, b, i: c.ci_create_media_jobs(Bucket=b, Jobs=job_for(b), Lst={}, ContentType=XML),
    "describe a job": lambda c, b, i: c.ci_get_media_jobs(Bucket=b, JobIDs=i["job"]),
    "list jobs": lambda c, b, i: c.ci_list_media_jobs(Bucket=b, Tag="SmartCover"),
    "cancel a job": lambda c, b, i: c.ci_cancel_jobs(Bucket=b, JobID=i["job"]),
    "make a template": lambda c, b, i: c.ci_create_template(Bucket=b, Template=TEMPLATE, ContentType=XML),
    "change a template": lambda c, b, i: c.ci_update_template(
        Bucket=b, TemplateId=i["template"], Template=TEMPLATE, ContentType=XML
    ),
    "list templates": lambda c, b, i: c.ci_get_template(Bucket=b, Ids=i["template"]),
    "delete a template": lambda c, b, i: c.ci_delete_template(Bucket=b, TemplateId=i["template"]),
    "list queues": lambda c, b, i: c.ci_get_media_queue(Bucket=b),
    "change a queue": lambda c, b, i: c.ci_update_media_queue(
        Bucket=b,
        QueueId=i["queue"],
        Request={"Name": "q", "QueueID": i["queue"], "State": "Paused", "NotifyConfig": {"State": "Off"}},
        ContentType=XML,
    ),
    "make a workflow": lambda c, b, i: c.ci_create_workflow(
        Bucket=b, Body=workflow_for(b, i["queue"]), ContentType=XML
    ),
    "change a workflow": lambda c, b, i: c.ci_update_workflow(
        Bucket=b, WorkflowId=i["workflow"], Body=workflow_for(b, i["queue"]), ContentType=XML
    ),
    "switch a workflow": lambda c, b, i: c.ci_update_workflow_state(
        Bucket=b, WorkflowId=i["workflow"], UpdateState="active"
    ),
    "list workflows": lambda c, b, i: c.ci_get_workflow(Bucket=b, Ids=i["workflow"]),
    "delete a workflow": lambda c, b, i: c.ci_delete_workflow(Bucket=b, WorkflowId=i["workflow"]),
    "trigger a workflow": lambda c, b, i: c.ci_trigger_workflow(Bucket=b, WorkflowId=i["workflow"], Key="in/a.mp4"),
    "describe a run": lambda c, b, i: c.ci_get_workflowexecution(Bucket=b, RunId=i["run"]),
    "list runs": lambda c, b, i: c.ci_list_workflowexecution(Bucket=b, WorkflowId=i["workflow"]),
    "start a batch": lambda c, b, i: c.ci_create_inventory_trigger_jobs(
        Bucket=b, JobBody=batch_for(b), ContentType=XML
    ),
    "describe a batch": lambda c, b, i: c.ci_get_inventory_trigger_jobs(Bucket=b, JobID=i["batch"]),
    "list batches": lambda c, b, i: c.ci_list_inventory_trigger_jobs(Bucket=b, Type="Job"),
    "cancel a batch": lambda c, b, i: c.ci_delete_inventory_trigger_jobs(Bucket=b, JobId=i["batch"]),
}
HEADS = {"ask about an object", "ask about a bucket"}


def everything(team: Team, ids: dict[str, str]) -> Any:
    """Describe all that a team has, as its own client sees it."""
    client, bucket = team.client(), team.bucket
    listed = client.list_objects(Bucket=bucket)
    return (
        [(entry["Key"], entry["ETag"]) for entry in listed["Contents"]],
        client.get_object(Bucket=bucket, Key="in/a.mp4")["Body"].get_raw_stream().read(),
        client.ci_list_media_jobs(Bucket=bucket, Tag="SmartCover")["JobsDetail"],
        client.ci_get_template(Bucket=bucket)["TemplateList"],
        client.ci_get_media_queue(Bucket=bucket)["QueueList"],
        client.ci_get_workflow(Bucket=bucket)["MediaWorkflowList"],
        client.ci_list_workflowexecution(Bucket=bucket, WorkflowId=ids["workflow"])["WorkflowExecutionList"],
        first(client.ci_get_inventory_trigger_jobs(Bucket=bucket, JobID=ids["batch"])["JobsDetail"])["State"],
        client.list_parts(Bucket=bucket, Key="in/big.mp4", UploadId=ids["upload"])["UploadId"],
    )


@pytest.mark.parametrize("mode", ["address", "proxy", "bucket in path"])
def test_no_call_reaches_the_bucket_of_the_other_team(here: Installation, mode: str) -> None:
    before = everything(here.theirs, here.ids)
    for bucket in (THEIRS, NONE_OF_THEIRS):
        intruder = here.ours.client(mode, bucket)
        for name, act in CALLS.items():
            with pytest.raises(CosServiceError) as refused:
                act(intruder, bucket, here.ids)
            assert refused.value.get_status_code() == 403, f"{name} in {bucket}: {refused.value}"
            if name not in HEADS:
                assert refused.value.get_error_code() == "AccessDenied", f"{name} in {bucket}: {refused.value}"
                assert THEIRS not in refused.value.get_error_msg() or bucket == THEIRS
    assert everything(here.theirs, here.ids) == before


UNKNOWN: dict[str, tuple[Act, int, str]] = {
    "cancel a job": (CALLS["cancel a job"], 404, "NoSuchJob"),
    "change a template": (CALLS["change a template"], 400, "InvalidArgument"),
    "delete a template": (CALLS["delete a template"], 400, "InvalidArgument"),
    "change a queue": (CALLS["change a queue"], 400, "InvalidArgument"),
    "make a workflow in their queue": (CALLS["make a workflow"], 400, "InvalidArgument"),
    "change a workflow": (CALLS["change a workflow"], 400, "InvalidArgument"),
    "switch a workflow": (CALLS["switch a workflow"], 400, "InvalidArgument"),
    "delete a workflow": (CALLS["delete a workflow"], 400, "InvalidArgument"),
    "trigger a workflow": (CALLS["trigger a workflow"], 400, "InvalidArgument"),
    "describe a run": (CALLS["describe a run"], 400, "InvalidArgument"),
    "cancel a batch": (CALLS["cancel a batch"], 404, "NoSuchJob"),
    "list parts": (CALLS["list parts"], 404, "NoSuchUpload"),
    "abort an upload": (CALLS["abort an upload"], 404, "NoSuchUpload"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_ids_of_the_other_team_are_unknown_in_ones_own_bucket(here: Installation, name: str) -> None:
    """The answer is the same as for an id that was never given, but for the id."""
    act, status, code = UNKNOWN[name]
    client = here.ours.client()
    never = {kind: f"{word[0]}{'9' * (len(word) - 1)}" for kind, word in here.ids.items()}
    never["upload"] = "9" * len(here.ids["upload"])
    told = []
    for ids in (here.ids, never):
        with pytest.raises(CosServiceError) as refused:
            act(client, OURS, ids)
        assert (refused.value.get_status_code(), refused.value.get_error_code()) == (status, code)
        told.append(refused.value.get_error_msg())
    for kind, word in here.ids.items():
        told[0] = told[0].replace(word, never[kind])
    assert told[0] == told[1]


def test_descriptions_and_lists_of_ones_own_bucket_hold_nothing_of_the_other_team(here: Installation) -> None:
    client, ids = here.ours.client(), here.ids
    described = client.ci_get_media_jobs(Bucket=OURS, JobIDs=ids["job"])
    assert (described.get("JobsDetail"), described["NonExistJobIds"]) in ((None, ids["job"]), ([], ids["job"]))
    batch = client.ci_get_inventory_trigger_jobs(Bucket=OURS, JobID=ids["batch"])
    never = client.ci_get_inventory_trigger_jobs(Bucket=OURS, JobID="b" + "9" * 32)
    assert {key: value for key, value in batch.items() if key != "RequestId"} == {"NonExistJobId": ids["batch"]}
    assert set(never) == set(batch)
    assert not client.ci_get_template(Bucket=OURS, Ids=ids["template"]).get("TemplateList")
    assert not client.ci_get_workflow(Bucket=OURS, Ids=ids["workflow"]).get("MediaWorkflowList")
    assert not client.ci_get_media_queue(Bucket=OURS, QueueIds=ids["queue"]).get("QueueList")
    seen = json.dumps(
        [
            client.ci_list_media_jobs(Bucket=OURS, Tag="SmartCover"),
            client.ci_get_template(Bucket=OURS),
            client.ci_get_workflow(Bucket=OURS),
            client.ci_get_media_queue(Bucket=OURS),
            client.ci_list_inventory_trigger_jobs(Bucket=OURS, Type="Job"),
            client.ci_get_media_bucket(),
            here.ours.client("proxy").list_buckets(),
            client.list_objects(Bucket=OURS),
        ],
        default=str,
    )
    assert OURS in seen
    assert not [word for word in (THEIRS, *ids.values()) if word in seen]


def test_covers_go_to_no_bucket_of_the_other_team(here: Installation) -> None:
    """Neither from a job, nor from a workflow that is made or changed so, nor from a batch; a template names none."""
    client = here.ours.client()
    queue_id = first(client.ci_get_media_queue(Bucket=OURS)["QueueList"])["QueueId"]
    own = client.ci_create_workflow(Bucket=OURS, Body=workflow_for(OURS, queue_id, "own"), ContentType=XML)
    workflow_id = own["MediaWorkflow"]["WorkflowId"]
    for bucket in (THEIRS, NONE_OF_THEIRS):
        attempts: list[Callable[[], Any]] = [
            lambda b=bucket: client.ci_create_media_jobs(  # type: ignore[misc]
                Bucket=OURS, Jobs=job_for(b), Lst={}, ContentType=XML
            ),
            lambda b=bucket: client.ci_create_workflow(  # type: ignore[misc]
                Bucket=OURS, Body=workflow_for(b, queue_id, "theft"), ContentType=XML
            ),
            lambda b=bucket: client.ci_update_workflow(  # type: ignore[misc]
                Bucket=OURS, WorkflowId=workflow_id, Body=workflow_for(b, queue_id, "theft"), ContentType=XML
            ),
            lambda b=bucket: client.ci_create_inventory_trigger_jobs(  # type: ignore[misc]
                Bucket=OURS, JobBody=batch_for(b), ContentType=XML
            ),
        ]
        for attempt in attempts:
            with pytest.raises(CosServiceError) as refused:
                attempt()
            assert (refused.value.get_status_code(), refused.value.get_error_code()) == (403, "AccessDenied")
    names = [first(entry)["Name"] for entry in client.ci_get_workflow(Bucket=OURS)["MediaWorkflowList"]]
    assert sorted(names) == ["covers", "own"]


def test_objects_of_the_other_team_cannot_be_copied_away(here: Installation) -> None:
    source = {"Bucket": THEIRS, "Key": "in/a.mp4", "Region": REGION}
    client = here.ours.client()
    upload_id = client.create_multipart_upload(Bucket=OURS, Key="in/stolen.mp4")["UploadId"]
    thefts: list[Callable[[], Any]] = [
        lambda: client.copy_object(Bucket=OURS, Key="in/stolen.mp4", CopySource=source),
        lambda: client.upload_part_copy(
            Bucket=OURS, Key="in/stolen.mp4", PartNumber=1, UploadId=upload_id, CopySource=source
        ),
    ]
    for act in thefts:
        with pytest.raises(CosServiceError) as refused:
            act()
        assert (refused.value.get_status_code(), refused.value.get_error_code()) == (403, "AccessDenied")


def test_each_team_works_in_its_own_bucket_as_if_it_were_alone(here: Installation) -> None:
    for team in (here.ours, here.theirs):
        for mode in ("address", "proxy", "bucket in path"):
            client = team.client(mode)
            made = client.ci_create_media_jobs(Bucket=team.bucket, Jobs=job_for(team.bucket), Lst={}, ContentType=XML)
            job_id = first(made["JobsDetail"])["JobId"]
            client.ci_cancel_jobs(Bucket=team.bucket, JobID=job_id)
            state = first(client.ci_get_media_jobs(Bucket=team.bucket, JobIDs=job_id)["JobsDetail"])["State"]
            assert state == "Cancel"
