"""
Receiving callbacks in a web framework: `starlette` (FastAPI too), `flask` and `django`, one module each.

Each makes an endpoint from a function that is given a `Received`. The endpoint verifies, parses, leaves out
repetitions if it is given a `Seen`, and answers: 204 when done, 400 or 401 when refused. What the function raises is
left to the framework, whose 500 makes the sender try again. A framework is imported with its module only.
"""
