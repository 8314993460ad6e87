"""What everything is compared with: a Quart-Trio route that echoes, served by hypercorn as they come."""

from __future__ import annotations

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.post("/echo")
async def echo() -> Response:
    """The body, back."""
    return Response(await request.get_data(), content_type="application/json")


async def main() -> None:
    """Serve on a free port and tell it."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    config.accesslog = None
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(serve, app, config)
        print(binds[0], flush=True)


if __name__ == "__main__":
    trio.run(main)
