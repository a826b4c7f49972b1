"""The same echo server as on asyncio, on uvloop."""

import asyncio

import uvloop
from python_asyncio import main

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
