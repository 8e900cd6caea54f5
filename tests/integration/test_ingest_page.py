"""The built page at `/`, or how to build it."""

from pathlib import Path

import httpx
from fastapi import FastAPI

from services.ingest.page import mount_page
from services.runtime.http import HttpServer


async def get(dist: Path, path: str) -> httpx.Response:
    app = FastAPI()
    mount_page(app, dist)
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            return await http.get(path)
    finally:
        await server.stop()


async def test_the_built_page(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Rapt</title>")
    (tmp_path / "assets" / "page.js").write_text("start()")
    assert "Rapt" in (await get(tmp_path, "/")).text
    script = await get(tmp_path, "/assets/page.js")
    assert script.text == "start()"
    assert script.headers["content-type"].startswith("text/javascript")
    assert (await get(tmp_path, "/assets/none.js")).status_code == 404
    assert (await get(tmp_path, "/../secret")).status_code == 404


async def test_a_page_that_is_not_built_says_how(tmp_path: Path) -> None:
    response = await get(tmp_path, "/")
    assert response.status_code == 503
    assert "npm run build" in response.text
