"""A process that writes to a local log until it is killed: `python -m tests.support.log_process FILE`.

It prints the number of each record as soon as the log has acknowledged it.
"""

import asyncio
import sys
from pathlib import Path

from services.runtime.lifecycle import StartFailed
from services.runtime.log.local import LocalLog
from tests.support.log_topics import BIG


async def write(path: Path) -> None:
    log = LocalLog(path, [BIG])
    await log.start()
    number = 0
    while True:
        acknowledged = [await log.send(BIG, f"key-{each % 5}", b"%d" % each) for each in range(number, number + 20)]
        await asyncio.gather(*acknowledged)
        number += 20
        print(number, flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    try:
        asyncio.run(write(Path(sys.argv[1])))
    except StartFailed as error:
        sys.exit(str(error))
