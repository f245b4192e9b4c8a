"""Delivery of results: the bytes owed, where they may go, when, signed how, and the loop that delivers them."""

from __future__ import annotations

from smartcover.callbacks.body import destination_of, task_finish_delivery, workflow_finish_delivery
from smartcover.callbacks.broker_url import Broker, read_broker
from smartcover.callbacks.dispatcher import DispatchConfig, Dispatcher, DispatchObserver, Unobserved
from smartcover.callbacks.egress import EgressPolicy, check_literal
from smartcover.callbacks.gate import GateConfig
from smartcover.callbacks.http_post import HttpConfig, HttpSender
from smartcover.callbacks.message_queue import QueueConfig, QueueSender, check_target
from smartcover.callbacks.metrics import DispatchMetrics
from smartcover.callbacks.schedule import Schedule, Verdict, next_attempt
from smartcover.callbacks.sender import Sender
from smartcover.callbacks.signing import read_secrets, signature_headers
from smartcover.callbacks.tls import tls_context

__all__ = [
    "Broker",
    "DispatchConfig",
    "DispatchMetrics",
    "DispatchObserver",
    "Dispatcher",
    "EgressPolicy",
    "GateConfig",
    "HttpConfig",
    "HttpSender",
    "QueueConfig",
    "QueueSender",
    "Schedule",
    "Sender",
    "Unobserved",
    "Verdict",
    "check_literal",
    "check_target",
    "destination_of",
    "next_attempt",
    "read_broker",
    "read_secrets",
    "signature_headers",
    "task_finish_delivery",
    "tls_context",
    "workflow_finish_delivery",
]
