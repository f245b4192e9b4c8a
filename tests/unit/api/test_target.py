"""Where a request goes, by Host, absolute form, path or default; and that no bytes break the reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.api.ci_words import OWN_WORDS, RESERVED_WORDS
from smartcover.api.hosts import could_be_bucket, split_host
from smartcover.api.routes import Place
from smartcover.api.target import Kind, Target, locate, read_target
from smartcover.errors import BadUri, MissingHost

BUCKET = "test-1250000000"
COS_HOST = f"{BUCKET}.cos.ap-chongqing.myqcloud.com"


def place(
    target: str, host: str = "127.0.0.1:8460", *, exists: bool = False, default: str | None = None, query: str = ""
) -> Target:
    read = read_target(target.encode(), query.encode(), [host.encode()])
    return locate(read, path_bucket_exists=exists, default_bucket=default)


@pytest.mark.parametrize(
    ("host", "bucket", "region"),
    [
        (f"{BUCKET}.ci.ap-chongqing.myqcloud.com", BUCKET, "ap-chongqing"),
        (f"{BUCKET}.cos.ap-chongqing.myqcloud.com:8460", BUCKET, "ap-chongqing"),
        (f"{BUCKET}.pic.ap-chongqing.myqcloud.com", BUCKET, "ap-chongqing"),
        (f"{BUCKET}.cos-internal.ap-chongqing.tencentcos.cn", BUCKET, "ap-chongqing"),
        (f"{BUCKET.upper()}.CI.AP-CHONGQING.MYQCLOUD.COM.", BUCKET, "ap-chongqing"),
        (f"{BUCKET}.cos.example.com", BUCKET, None),
        (f"{BUCKET}.ci.localhost", BUCKET, None),
        ("ci.ap-chongqing.myqcloud.com", None, "ap-chongqing"),
        ("cos-internal.ap-chongqing.tencentcos.cn", None, "ap-chongqing"),
        ("service.cos.myqcloud.com", None, None),
        ("127.0.0.1:8460", None, None),
        ("127.ci.0.1", "127", None),
        ("[::1]:8460", None, None),
        ("localhost", None, None),
        ("covers.example.com", None, None),
    ],
)
def test_a_host_names_bucket_and_region(host: str, bucket: str | None, region: str | None) -> None:
    assert split_host(host)[:2] == (bucket, region)


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("my_videos-1250000000.cos.ap-chongqing.myqcloud.com", "my_videos-1250000000"),
        ("a" * 64 + ".ci.ap-chongqing.myqcloud.com:8460", "a" * 64),
        ("-a.cos.example.com", "-a"),
        ("a-.pic.localhost", "a-"),
        (".cos.ap-chongqing.myqcloud.com", ""),
        ("A.B-1250000000.COS.ap-chongqing.myqcloud.com", "a.b-1250000000"),
        ("a.b.c.cos-internal.eu-frankfurt.tencentcos.cn", "a.b.c"),
        ("smart.cover.ci.example.com", None),
        ("smart.cover.ci.my-company.com", None),
        ("smart.cover.ci", None),
        ("covers.example.com", None),
        (COS_HOST, None),
    ],
)
def test_a_host_with_a_name_that_no_bucket_can_have_says_so(host: str, word: str | None) -> None:
    parts = split_host(host)
    assert parts.misnamed == word
    assert parts.misnamed is None or (parts.bucket, parts.is_service) == (None, False)


@pytest.mark.parametrize("label", ["ci", "cos", "cos-internal", "pic"])
def test_jobs_are_ci_calls_on_every_label(label: str) -> None:
    target = place("/jobs", f"{BUCKET}.{label}.ap-chongqing.myqcloud.com")
    assert (target.kind, target.bucket, target.segments) == (Kind.CI, BUCKET, ("jobs",))


@pytest.mark.parametrize("label", ["ci", "cos", "cos-internal", "pic"])
def test_other_paths_are_objects_on_every_label(label: str) -> None:
    target = place("/a/b.txt", f"{BUCKET}.{label}.ap-chongqing.myqcloud.com")
    assert (target.kind, target.bucket, target.key) == (Kind.OBJECT, BUCKET, "a/b.txt")


@pytest.mark.parametrize(
    "path",
    ["jobs/clip.mp4", "template/a/b", "jobs/j1/cover-0.jpg", "mediabucket/a.b", "ai_queue/a.jpg", "picbucket/a/b"],
)
def test_what_lies_below_a_word_of_ci_and_is_no_id_is_an_object_but_on_its_own_host(path: str) -> None:
    for host in (f"{BUCKET}.cos.ap-chongqing.myqcloud.com", f"{BUCKET}.pic.ap-chongqing.myqcloud.com", "127.0.0.1"):
        target = place(f"/{path}", host, default=BUCKET)
        assert (target.kind, target.bucket, target.key) == (Kind.OBJECT, BUCKET, path)
    assert place(f"/{BUCKET}/{path}", exists=True).key == path
    assert place(f"/{path}", f"{BUCKET}.ci.ap-chongqing.myqcloud.com").kind is Kind.CI


@pytest.mark.parametrize(
    "path",
    [
        "jobs/j1,j2",
        "template/name",
        "queue/queue-1",
        "workflow/w1/",
        "inventorytriggerjob/b1",
        "asrqueue/q1",
        "playKey",
    ],
)
def test_what_may_be_meant_as_an_id_is_a_call_of_ci_on_every_host(path: str) -> None:
    for label in ("ci", "cos", "cos-internal", "pic"):
        assert place(f"/{path}", f"{BUCKET}.{label}.ap-chongqing.myqcloud.com").kind is Kind.CI


WORKFLOW_ID = "w" + "0a" * 16


@pytest.mark.parametrize(
    ("method", "path", "label", "deletes_a_workflow"),
    [
        ("DELETE", f"/Workflow/{WORKFLOW_ID}", "ci", True),
        ("DELETE", f"/workflow/{WORKFLOW_ID}", "ci", True),
        ("DELETE", f"/Workflow/{WORKFLOW_ID}", "cos", False),
        ("DELETE", f"/Workflow/{WORKFLOW_ID}", "pic", False),
        ("DELETE", f"/Workflow/{WORKFLOW_ID}.jpg", "ci", False),
        ("DELETE", f"/Workflow/{WORKFLOW_ID}/x", "ci", False),
        ("DELETE", f"/Workflow%2F{WORKFLOW_ID}", "ci", False),
        ("DELETE", f"/in/Workflow/{WORKFLOW_ID}", "ci", False),
        ("DELETE", "/Workflow/w1", "ci", False),
        ("PUT", f"/Workflow/{WORKFLOW_ID}", "ci", False),
        ("GET", f"/Workflow/{WORKFLOW_ID}", "ci", False),
    ],
)
def test_older_go_sdks_delete_a_workflow_with_a_capital_and_only_so(
    method: str, path: str, label: str, deletes_a_workflow: bool
) -> None:
    read = read_target(path.encode(), b"", [f"{BUCKET}.{label}.ap-chongqing.myqcloud.com".encode()])
    target = locate(read, path_bucket_exists=False, default_bucket=None, method=method)
    assert (target.kind is Kind.CI) == deletes_a_workflow
    assert target.segments == (("workflow", WORKFLOW_ID) if deletes_a_workflow else ())


def test_a_bare_address_has_no_ci_host() -> None:
    read = read_target(f"/Workflow/{WORKFLOW_ID}".encode(), b"", [b"127.0.0.1:8460"])
    target = locate(read, path_bucket_exists=False, default_bucket=BUCKET, method="DELETE")
    assert (target.kind, target.key) == (Kind.OBJECT, f"Workflow/{WORKFLOW_ID}")


def test_an_escaped_slash_makes_an_object_and_never_a_cancel() -> None:
    target = place("/jobs%2Fx", f"{BUCKET}.ci.ap-chongqing.myqcloud.com")
    assert (target.kind, target.key) == (Kind.OBJECT, "jobs/x")


@pytest.mark.parametrize("path", ["/jobs/j1,j2", "/jobs/j1%2Cj2", "/jobs/j1%2cj2"])
def test_several_ids_are_one_segment_in_both_spellings(path: str) -> None:
    assert place(path, default=BUCKET).segments == ("jobs", "j1,j2")


def test_a_slash_at_the_end_of_a_ci_call_does_not_count() -> None:
    assert place("/jobs/", default=BUCKET).segments == ("jobs",)


def test_an_absolute_target_goes_before_the_host_header() -> None:
    read = read_target(f"http://{BUCKET}.ci.ap-x.myqcloud.com/jobs/j1".encode(), b"cancel", [b"127.0.0.1:8460"])
    assert (read.raw_path, read.host_bucket, read.host_region) == (b"/jobs/j1", BUCKET, "ap-x")
    assert read.authority == f"{BUCKET}.ci.ap-x.myqcloud.com"


@pytest.mark.parametrize("target", ["http://b.cos.ap-x.example.com", "http://b.cos.ap-x.example.com/"])
def test_an_absolute_target_without_path_names_the_bucket(target: str) -> None:
    placed = place(target)
    assert (placed.kind, placed.bucket, placed.key) == (Kind.OBJECT, "b", "")


def test_the_first_segment_is_a_bucket_if_such_a_bucket_exists() -> None:
    target = place(f"/{BUCKET}/jobs", exists=True)
    assert (target.kind, target.bucket, target.path_bucket, target.inner_path) == (Kind.CI, BUCKET, BUCKET, b"/jobs")


def test_the_first_segment_is_part_of_the_key_if_no_such_bucket_exists() -> None:
    target = place("/videos/a.mp4", default=BUCKET)
    assert (target.bucket, target.path_bucket, target.key) == (BUCKET, None, "videos/a.mp4")


@pytest.mark.parametrize("path", ["/new-125", "/new-125/"])
def test_a_bucket_that_does_not_exist_yet_can_be_named_by_the_path(path: str) -> None:
    target = place(path)
    assert (target.bucket, target.key) == ("new-125", "")


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS))
def test_a_reserved_word_is_no_bucket(word: bytes) -> None:
    assert read_target(b"/" + word + b"/x", b"", [b"127.0.0.1"]).path_bucket is None


def test_own_words_are_those_of_the_places() -> None:
    assert {word.decode() for word in OWN_WORDS} == {
        place.value.split("/")[1] for place in Place if place.value.startswith("/")
    }


def test_a_bucket_in_the_host_leaves_the_path_alone() -> None:
    host = "other-1.cos.ap-chongqing.myqcloud.com"
    target = place(f"/{BUCKET}/a", host, exists=True)
    assert (target.bucket, target.key) == ("other-1", f"{BUCKET}/a")


@pytest.mark.parametrize("host", ["service.cos.myqcloud.com", "cos.ap-x.myqcloud.com"])
def test_the_service_host_lists_buckets_whatever_the_default(host: str) -> None:
    assert place("/", host, default=BUCKET).kind is Kind.SERVICE


def test_the_root_of_a_plain_host_is_the_default_bucket_or_else_the_service() -> None:
    assert place("/", default=BUCKET).bucket == BUCKET
    assert place("/").kind is Kind.SERVICE


@pytest.mark.parametrize(
    "raw", [b"/a%", b"/a%2", b"/%zz", b"/%ff", b"/%c0%af", b"*", b"a", b"ftp://x/", b"/\xff", b"/a#b"]
)
def test_a_target_that_cannot_be_read_is_refused(raw: bytes) -> None:
    with pytest.raises(BadUri):
        read_target(raw, b"", [b"x"])


@pytest.mark.parametrize("hosts", [[], [b""], [b" "], [b"a", b"b"], [b"a b"], [b"a:99999999"], [b"[::1"], [b"a/b"]])
def test_a_host_that_cannot_be_read_is_refused(hosts: list[bytes]) -> None:
    with pytest.raises(MissingHost):
        read_target(b"/", b"", hosts)


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.binary(max_size=40), max_size=2), st.booleans())
def test_any_bytes_are_read_or_refused(target: bytes, query: bytes, hosts: list[bytes], exists: bool) -> None:
    try:
        read = read_target(target, query, hosts)
    except (BadUri, MissingHost):
        return
    placed = locate(read, path_bucket_exists=exists, default_bucket=None)
    assert placed.bucket is None or could_be_bucket(placed.bucket)
