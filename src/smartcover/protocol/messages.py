"""
The messages of the job API and its callbacks, as typed and frozen values shared by XML and JSON.

`JobRequest` is what a client submits; `JobsDetail` is what answers and callbacks carry. Both keep the texts that are
echoed exactly as the client sent them and offer typed readings beside. A repeated node is always a tuple.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from smartcover.errors import BadParameter
from smartcover.protocol.fields import MAX_INTEGER, Fields, whole_number

TAG: Final = "SmartCover"
FORMATS: Final = ("jpg", "png", "webp")
DEFAULT_COUNT: Final = 3
MAX_COUNT: Final = 10
MIN_SIDE_PX: Final = 128
MAX_SIDE_PX: Final = 4096
MAX_OPERATIONS: Final = 6
MAX_USER_DATA_CHARACTERS: Final = 1024
JOB_LEVELS: Final = (0, 1, 2)

CallbackFormat = Literal["XML", "JSON"]
CallbackType = Literal["Url", "TDMQ"]
CALLBACK_FORMATS: Final[tuple[CallbackFormat, ...]] = ("XML", "JSON")
CALLBACK_TYPES: Final[tuple[CallbackType, ...]] = ("Url", "TDMQ")

SUBMITTED: Final = "Submitted"
RUNNING: Final = "Running"
SUCCEEDED: Final = "Success"
FAILED: Final = "Failed"
PAUSED: Final = "Pause"
CANCELLED: Final = "Cancel"
STATES: Final = (SUBMITTED, RUNNING, SUCCEEDED, FAILED, PAUSED, CANCELLED)
"""The exact words of a job's state on the wire."""

COVER_NODES: Final = ("Format", "Width", "Height", "Count", "DeleteDuplicates")
"""The child nodes of `SmartCover`, in the order of the documents."""
_NUMBERS: Final = (
    ("Width", MIN_SIDE_PX, MAX_SIDE_PX),
    ("Height", MIN_SIDE_PX, MAX_SIDE_PX),
    ("Count", 1, MAX_COUNT),
)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a naive datetime; attach a zone")
    return moment


Moment = Annotated[datetime, AfterValidator(_aware)]


class Message(BaseModel):
    """A value of the wire: frozen, comparable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SmartCoverParams(Message):
    """
    The cover options of a job as sent, and what they mean.

    `sent` holds (node, text) pairs in the order sent, without empty ones; it is what is echoed. The properties read
    it and fill in the documented defaults. They presume the text was read by `read` or is of the same form.
    """

    sent: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, fields: Fields, *, check_ranges: bool = True) -> SmartCoverParams:
        """
        Take the options out of a `SmartCover` node; other child nodes are ignored.

        Args:
            check_ranges: Hold the options against the documented ranges, as for a request. Without it numbers need
                only be numbers, `5.0` among them: a callback tells what was done elsewhere and is not ours to judge.

        Raises:
            BadParameter: If an option is out of range or not a number.
        """
        if check_ranges:
            fields.choice("Format", FORMATS)
            fields.choice("DeleteDuplicates", ("true", "false"))
        for name, low, high in _NUMBERS:
            if check_ranges:
                fields.integer(name, low, high)
            else:
                fields.integer(name, 0, MAX_INTEGER, with_zeros=True)
        texts = ((name, fields.text(name)) for name in fields.names() if name in COVER_NODES)
        return cls(sent=tuple((name, text) for name, text in texts if text is not None and text.strip()))

    def text(self, node: str) -> str | None:
        """Give the text sent for a node, or None."""
        return dict(self.sent).get(node)

    @property
    def format(self) -> str:
        """`jpg`, `png` or `webp`."""
        return (self.text("Format") or FORMATS[0]).strip().lower()

    @property
    def count(self) -> int:
        """How many covers, from 1 to 10."""
        count = self._integer("Count")
        return DEFAULT_COUNT if count is None else count

    @property
    def width(self) -> int | None:
        """Width in px, or None for what follows from the height or the source."""
        return self._integer("Width")

    @property
    def height(self) -> int | None:
        """Height in px, or None for what follows from the width or the source."""
        return self._integer("Height")

    @property
    def delete_duplicates(self) -> bool:
        """Whether covers that look alike are left out."""
        return (self.text("DeleteDuplicates") or "").strip().lower() == "true"

    def _integer(self, node: str) -> int | None:
        text = self.text(node)
        if text is None:
            return None
        number = whole_number(text)
        if number is None:
            raise BadParameter(f"{node} is {text[:20]!r}; give a whole number")
        return number


class Output(Message):
    """Where covers go, as sent: `object` is the pattern, not expanded."""

    region: str = ""
    bucket: str = ""
    object: str = ""


class MessageQueueTarget(Message):
    """`CallBackMqConfig`: the queue or topic that gets the callback instead of a URL."""

    region: str
    mode: Literal["Queue", "Topic"] = "Queue"
    name: str


class CallbackRequest(Message):
    """
    Where a job's result is announced, as far as the job itself says so.

    `suppressed` is the literal `no` in `CallBack`: no callback, also not the queue's. Each field that is None is to
    be taken from the queue.
    """

    url: str | None = None
    suppressed: bool = False
    format: CallbackFormat | None = None
    type: CallbackType | None = None
    mq: MessageQueueTarget | None = None


class OperationRequest(Message):
    """
    One thing to do with the input.

    `smart_cover` is None when the node was not sent; `params` then gives the defaults. When `template_id` is there
    the template decides, whatever `smart_cover` says. `job_level` is 0 when `job_level_sent` is false.
    """

    tag: str
    smart_cover: SmartCoverParams | None = None
    output: Output
    user_data: str | None = None
    job_level: int = 0
    job_level_sent: bool = False
    template_id: str | None = None

    @property
    def params(self) -> SmartCoverParams:
        """The cover options, with the defaults when none were sent."""
        return self.smart_cover or SmartCoverParams()


class JobRequest(Message):
    """A submit: one input, one or several operations. `multi` tells the form whose Tag stands in each Operation."""

    object_key: str
    operations: tuple[OperationRequest, ...]
    queue_id: str | None = None
    callback: CallbackRequest = CallbackRequest()
    multi: bool = False


class CosHeader(Message):
    """A header of the upload that started a workflow."""

    key: str
    value: str = ""


class JobInput(Message):
    """The input of a job; `cos_headers` only when a workflow started it."""

    bucket_id: str = ""
    object: str = ""
    region: str = ""
    cos_headers: tuple[CosHeader, ...] = ()


class Md5Info(Message):
    """The MD5 of one cover."""

    md5: str
    object_name: str


class OperationDetail(Message):
    """
    The operation of a job as answers and callbacks show it.

    `job_level` is None when the client did not send it. The last four fields are the result: covers are named by
    full keys in index order, and the place falls back to that of `output`. They show only in state Success.
    """

    smart_cover: SmartCoverParams | None = None
    template_id: str | None = None
    template_name: str | None = None
    output: Output = Output()
    user_data: str | None = None
    job_level: int | None = None
    object_names: tuple[str, ...] = ()
    output_bucket: str | None = None
    output_region: str | None = None
    md5s: tuple[Md5Info, ...] = ()


class WorkflowRef(Message):
    """The workflow run that a job belongs to; `name` is the node's name in the workflow."""

    name: str = ""
    run_id: str = ""
    workflow_id: str = ""
    workflow_name: str = ""


class JobsDetail(Message):
    """
    A job as the outside sees it: what the server writes and what a receiver reads.

    Only the id and the state are always there; the defaults stand for nodes that some sender leaves out. Times are
    aware, None while unknown. `message` is empty unless the job failed. `multi` repeats the Tag inside the Operation
    of answers, as the multi-job form does; callbacks do not show it. `progress` is what newer pages of the vendor
    send, in percent; we do not write it.
    """

    code: str = "Success"
    message: str = ""
    job_id: str
    state: str
    creation_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    queue_id: str = ""
    tag: str = TAG
    input: JobInput = JobInput()
    operation: OperationDetail = OperationDetail()
    workflow: WorkflowRef | None = None
    multi: bool = False
    progress: int | None = None
