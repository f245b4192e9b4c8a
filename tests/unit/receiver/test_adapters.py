"""The same promises in each web framework, with the real frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from smartcover.receiver import MemorySeen, Received, Seen, TaskFinish, WorkflowFinish, testing

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
Post = Callable[[bytes, Mapping[str, str]], tuple[int, str]]
Make = Callable[..., Post]


class Broken(Exception):
    """What the receiver's own code raises."""


def starlette(handle: Any, **options: Any) -> Post:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from smartcover.receiver.adapters.starlette import callback_endpoint

    app = Starlette(routes=[Route("/cb", callback_endpoint(handle, **options), methods=["POST"])])
    client = TestClient(app, raise_server_exceptions=False)

    def post(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        answer = client.post("/cb", content=body, headers=dict(headers))
        return answer.status_code, answer.text

    return post


def fastapi(handle: Any, **options: Any) -> Post:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from smartcover.receiver.adapters.starlette import callback_endpoint

    app = FastAPI()
    app.add_api_route("/cb", callback_endpoint(handle, **options), methods=["POST"], status_code=204)
    client = TestClient(app, raise_server_exceptions=False)

    def post(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        answer = client.post("/cb", content=body, headers=dict(headers))
        return answer.status_code, answer.text

    return post


def flask(handle: Any, **options: Any) -> Post:
    from flask import Flask

    from smartcover.receiver.adapters.flask import callback_view

    app = Flask("test")
    app.add_url_rule("/cb", "cb", callback_view(handle, **options), methods=["POST"])
    client = app.test_client()

    def post(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        answer = client.post("/cb", data=body, headers=dict(headers))
        return answer.status_code, answer.text

    return post


def django(handle: Any, **options: Any) -> Post:
    import django as framework
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], DEBUG=False, ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
        framework.setup()
    from django.test import RequestFactory

    from smartcover.receiver.adapters.django import callback_view

    view = callback_view(handle, **options)

    def post(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        others = {name: value for name, value in headers.items() if name != "content-type"}
        request = RequestFactory().post("/cb", body, content_type=headers["content-type"], headers=others)
        try:
            answer = view(request)
        except Broken:  # the factory calls the view without Django's own handler of errors
            return 500, ""
        return answer.status_code, answer.content.decode()

    return post


urlpatterns: list[object] = []


@pytest.fixture(params=[starlette, fastapi, flask, django], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    yield request.param


def received_by(make: Make, **options: Any) -> tuple[list[Received], Post]:
    got: list[Received] = []
    return got, make(got.append, **options)


def test_a_signed_callback_reaches_the_handler_typed(make: Make) -> None:
    got, post = received_by(make, secrets=SECRET)
    for sample in (
        testing.task_finish(secret=SECRET, covers=2),
        testing.task_finish(secret=SECRET, format="JSON", workflow=True, json_array=True),
        testing.workflow_finish(secret=SECRET),
        testing.workflow_finish(secret=SECRET, format="JSON", succeeded=False),
    ):
        assert post(sample.body, sample.headers) == (204, "")
        assert got[-1].verified
        assert got[-1].delivery_id == sample.headers["webhook-id"]
    assert [type(one.callback) for one in got] == [TaskFinish, TaskFinish, WorkflowFinish, WorkflowFinish]


def test_an_unsigned_or_forged_callback_is_401_and_rubbish_is_400(make: Make) -> None:
    got, post = received_by(make, secrets=[SECRET])
    plain = testing.task_finish()
    status, text = post(plain.body, plain.headers)
    assert (status, "webhook-timestamp is missing" in text) == (401, True)
    signed = testing.task_finish(secret=SECRET)
    assert post(signed.body + b" ", signed.headers)[0] == 401
    assert not got

    got, post = received_by(make, max_bytes=2000)
    assert post(b"hello", {"content-type": "text/plain"})[0] == 400
    assert post(b"<" + b"x" * 3000, {"content-type": "application/xml"})[0] == 400
    assert not got


def test_a_repetition_is_answered_and_not_handled_again(make: Make) -> None:
    got, post = received_by(make, seen=MemorySeen())
    sample = testing.task_finish()
    assert [post(sample.body, sample.headers)[0] for _ in range(3)] == [204, 204, 204]
    assert len(got) == 1


def test_a_handler_that_fails_answers_500_and_gets_the_next_try(make: Make) -> None:
    calls: list[Received] = []

    def handle(received: Received) -> None:
        calls.append(received)
        if len(calls) == 1:
            raise Broken

    seen: Seen = MemorySeen()
    post = make(handle, seen=seen)
    sample = testing.task_finish()
    assert [post(sample.body, sample.headers)[0] for _ in range(3)] == [500, 204, 204]
    assert len(calls) == 2


def test_django_refuses_other_methods_and_is_exempt_from_csrf() -> None:
    django(print)
    from django.test import RequestFactory

    from smartcover.receiver.adapters.django import callback_view

    view = callback_view(lambda _: None)
    assert view(RequestFactory().get("/cb")).status_code == 405
    assert view.csrf_exempt is True  # type: ignore[attr-defined]


@pytest.mark.parametrize("make_app", [starlette, fastapi])
def test_a_coroutine_function_may_handle_in_asgi_frameworks(make_app: Make) -> None:
    got: list[Received] = []

    async def handle(received: Received) -> None:
        got.append(received)

    sample = testing.task_finish()
    assert make_app(handle, seen=MemorySeen())(sample.body, sample.headers)[0] == 204
    assert make_app(handle)(sample.body, sample.headers)[0] == 204
    assert len(got) == 2
