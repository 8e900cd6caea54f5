"""The built page at `/`, or how to build it."""

from pathlib import Path

import httpx
from fastapi import FastAPI

from services.ingest.page import mount_page
from services.runtime.http import HttpServer


async def get(dist: Path, path: str) -> httpx.Response:
    app = FastAPI()

    @app.post("/api/login")
    async def login() -> None: ...

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


async def test_the_page_never_answers_for_the_api(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>Rapt</title>")
    assert (await get(tmp_path, "/api/sessions/..%2f..%2f")).status_code == 404
    assert (await get(tmp_path, "/api/none")).status_code == 404
    wrong_method = await get(tmp_path, "/api/login")
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "POST")
    with_a_slash = await get(tmp_path, "/api/login/")
    assert (with_a_slash.status_code, with_a_slash.headers["location"][-10:]) == (307, "/api/login")


async def test_a_page_that_is_not_built_says_how(tmp_path: Path) -> None:
    response = await get(tmp_path, "/")
    assert response.status_code == 503
    assert "npm run build" in response.text
