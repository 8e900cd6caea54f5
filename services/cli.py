"""The `rapt` command: the only place that knows all services. It assembles them and runs them.

Exit codes: 0 done, 1 failed, 2 wrong use or a wrong setting.
"""

import asyncio
import importlib.metadata
import json
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services import assembly
from services.runtime import deadletter_desk, deadletter_view
from services.runtime.deadletter import LetterId, Wanted
from services.runtime.doctor import EXTRAS, examine, settings_in_force
from services.runtime.lifecycle import StartFailed, run, stop_on_signals
from services.runtime.log import LogUnavailable
from services.runtime.logging import configure_logging
from services.runtime.settings import Settings, WrongSetting, load_settings
from services.runtime.store import StoreUnavailable

app = typer.Typer(
    name="rapt",
    help="Rapt tells, live, how engaged people in front of their webcams are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
dead_letters = typer.Typer(
    name="dead-letters", help="Records that nobody could process: look at them, send them again.", no_args_is_help=True
)
app.add_typer(dead_letters)
out = Console()
err = Console(stderr=True)

Result = TypeVar("Result")

Host = Annotated[str | None, typer.Option(help="Address to listen on (HOST, 127.0.0.1).")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (PORT, 8000).")]
Data = Annotated[Path | None, typer.Option(help="Folder of the log, the store and the recordings (RAPT_DATA, .rapt).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def main() -> None:
    """Entry point of the `rapt` script."""
    try:
        app()
    except WrongSetting as error:
        err.print(f"rapt: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(2) from None
    except (StartFailed, LogUnavailable, StoreUnavailable) as error:
        err.print(f"rapt: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        needed_by = [extra for extra, modules in EXTRAS.items() if error.name in modules]
        if not needed_by:
            raise
        advice = f"{error.name} is not installed; install rapt[{needed_by[0]}], or rapt[all]"
        err.print(f"rapt: {advice}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(1) from None


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    if version:
        out.print(importlib.metadata.version("rapt"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


@app.command()
def up(host: Host = None, port: Port = None, data: Data = None) -> None:
    """Run everything in this process, over one local log."""
    settings = _settings(host, port, data, log_level="warning")
    embedded = assembly.embedded(settings)

    async def serve() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        await run(
            embedded.parts,
            graceful_timeout_s=settings.graceful_timeout_s,
            stop=stop,
            on_started=lambda: _welcome(embedded),
        )

    _run(serve())


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop after so many seconds and judge the result.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Like `up`, with four drawn students who stream through the real WebSocket."""
    from services.client.demo import run_demo

    settings = _settings(host, port, data, log_level="warning")
    embedded = assembly.embedded(settings)

    async def serve() -> int:
        stop = asyncio.Event()
        stop_on_signals(stop)

        async def students() -> int:
            if not as_json:
                _welcome(embedded)
            return await run_demo(
                embedded.http.url, embedded.demo_password, seconds=seconds, stop=stop, as_json=as_json
            )

        return await _beside(embedded, settings, stop, students)

    raise typer.Exit(_run(serve()))


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Videos, one session each.")],
    url: Annotated[str, typer.Option(help="Where Rapt runs.")] = "http://127.0.0.1:8000",
    fps: Annotated[float | None, typer.Option(help="Frames a second; the file's own rate without it.")] = None,
    session: Annotated[str | None, typer.Option(help="Go on with this session instead of a new one.")] = None,
    username: Annotated[str, typer.Option(help="Account of the student.")] = "student",
    password: Annotated[str | None, typer.Option(envvar="DEMO_PASSWORD", help="Password of the account.")] = None,
    lecture: Annotated[str, typer.Option(help="Lecture to join.")] = "DEMO",
    record: Annotated[bool, typer.Option(help="Record the session.")] = True,
    as_json: Json = False,
) -> None:
    """Stream videos through the real WebSocket at their own pace."""
    from services.client.replay import run_replay

    if password is None:
        raise typer.BadParameter("give --password, or set DEMO_PASSWORD")
    raise typer.Exit(
        _run(
            run_replay(
                files,
                url=url,
                fps=fps,
                session_id=session,
                username=username,
                password=password,
                lecture_code=lecture,
                record=record,
                as_json=as_json,
            )
        )
    )


@app.command()
def ingest(host: Host = None, port: Port = None, data: Data = None) -> None:
    """One replica of the edge: WebSocket, REST, the page."""
    _serve_replica(assembly.ingest, _settings(host, port, data))


@app.command()
def analyzer(host: Host = None, port: Port = None, data: Data = None) -> None:
    """One replica of the analyzer: frames to metrics."""
    _serve_replica(assembly.analyzer, _settings(host, port, data))


@app.command()
def recorder(host: Host = None, port: Port = None, data: Data = None) -> None:
    """One replica of the recorder: frames to MP4."""
    _serve_replica(assembly.recorder, _settings(host, port, data))


@app.command()
def sink(host: Host = None, port: Port = None, data: Data = None) -> None:
    """One replica of the sink: events to the store."""
    _serve_replica(assembly.sink, _settings(host, port, data))


@app.command()
def evaluate(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Clips, truth files, or folders of both.")],
    fps: Annotated[str, typer.Option(help="Frames a second to measure at, separated by commas.")] = "30,15,10,5",
    width: Annotated[
        int | None, typer.Option(min=16, help="Scale wider clips down to this; 320 is the page's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure clips whose truth is known, with the analyzer's own code, and say how far off it is."""
    from services.analyzer.evaluation.command import run_evaluation

    configure_logging("critical", json=not err.is_terminal)  # what fails is said at the end, once
    raise typer.Exit(run_evaluation(paths, fps, width, out=out, err=err, as_json=as_json))


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Which benches; all without it.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the README's claims side by side with their baselines (from a source checkout)."""
    try:
        from bench.run import run_benches
    except ModuleNotFoundError as error:
        raise StartFailed(
            f"{error.name} is not here: the benches run from a source checkout, by `make bench`"
        ) from None

    configure_logging("warning", json=not err.is_terminal)
    raise typer.Exit(run_benches(names or [], out=out, err=err, as_json=as_json))


@app.command()
def topics(
    apply: Annotated[
        bool, typer.Option("--apply", help="Also change settings that differ: retention and such.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create what is missing among the topics and check the rest."""
    from services.runtime.log.connection import connection_of
    from services.runtime.log.topics_command import run_topics

    connection = connection_of(_settings(None, None, None))
    raise typer.Exit(_run(run_topics(connection, mend=apply, out=out, as_json=as_json)))


@app.command()
def doctor(host: Host = None, port: Port = None, data: Data = None, as_json: Json = False) -> None:
    """Check this machine and show the settings in force."""
    settings = _settings(host, port, data)
    findings = examine(settings, assembly.page_index())
    if as_json:
        report = {
            "findings": [{"what": f.what, "ok": f.ok, "found": f.found, "advice": f.advice} for f in findings],
            "settings": settings_in_force(settings),
        }
        out.print_json(json.dumps(report))
    else:
        checks = Table("check", "", "found", "what to do")
        for finding in findings:
            verdict = "[green]ok" if finding.ok else "[red]no"
            checks.add_row(escape(finding.what), verdict, escape(finding.found), escape(finding.advice))
        out.print(checks)
        values = Table("setting", "in force")
        for name, value in settings_in_force(settings).items():
            values.add_row(name, escape(value))
        out.print(values)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


OfTopic = Annotated[str | None, typer.Option("--topic", help="Only what comes from this topic.")]


@dead_letters.command("list")
def list_dead_letters(
    topic: OfTopic = None,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    error: Annotated[str | None, typer.Option(help="Only those whose error contains this.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Show so many of the newest in the table; 0 shows all.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What could not be processed, the newest last. Reads beside whatever runs."""
    history = assembly.history(_settings(None, None, data))
    letters = _run(deadletter_desk.read_letters(history, Wanted(topic, session, error)))
    if as_json:
        typer.echo(json.dumps(deadletter_view.list_as_json(letters)))  # may be long: rich takes its time to colour it
    else:
        deadletter_view.print_list(letters, out, last)


@dead_letters.command("show")
def show_dead_letter(
    letter: Annotated[str, typer.Argument(help="As `list` names it: partition:offset.")],
    file: Annotated[Path | None, typer.Option("--out", help="Write the value, all of it, to this file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """One letter: where it comes from, what was wrong, its headers, how its value begins."""
    history = assembly.history(_settings(None, None, data))
    (wanted,) = _letter_ids([letter])
    found, value = _run(deadletter_desk.read_letter(history, wanted))
    if file is not None:
        try:
            file.write_bytes(value)
        except OSError as error:
            raise StartFailed(f"cannot write {file}: {error.strerror}") from None
    if as_json:
        out.print_json(json.dumps(deadletter_view.as_json(found)))
    else:
        deadletter_view.print_letter(found, value, out)


@dead_letters.command("retry")
def retry_dead_letters(
    letters: Annotated[list[str] | None, typer.Argument(help="As `list` names them: partition:offset.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not sent again yet.")] = False,
    topic: OfTopic = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send records again, each to its topic, behind what its key has there now.

    On Kafka while everything runs; with the local log while `rapt up` does not, which then takes them at its start.
    """
    if bool(letters) == everything or (topic is not None and not everything):
        raise typer.BadParameter("give letters, or --all, which --topic may narrow")
    settings = _settings(None, None, data)
    chosen = _letter_ids(letters or [])
    done = _run(assembly.retry_dead_letters(settings, chosen, Wanted(topic)))
    if as_json:
        out.print_json(json.dumps({"sent": done.records, "left": {str(each): reason for each, reason in done.left}}))
    else:
        out.print(f"{done.records} sent again")
        for each, reason in done.left:
            err.print(deadletter_view.plain(f"{each} stays: {reason}"), soft_wrap=True)
    raise typer.Exit(1 if done.left else 0)


def _letter_ids(letters: list[str]) -> list[LetterId]:
    try:
        return [LetterId.parse(each) for each in letters]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _settings(host: str | None, port: int | None, data: Path | None, *, log_level: str | None = None) -> Settings:
    """`log_level` counts where LOG_LEVEL is not set: a terminal that a person looks at wants less than a log file."""
    given: dict[str, object] = {"host": host, "port": port, "rapt_data": data}
    if "LOG_LEVEL" not in os.environ:
        given["log_level"] = log_level
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings.log_level, json=not err.is_terminal)
    return settings


def _serve_replica(assemble: Callable[[Settings], assembly.Replica], settings: Settings) -> None:
    replica = assemble(settings)

    async def serve() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        await run(
            replica.parts,
            graceful_timeout_s=settings.graceful_timeout_s,
            stop=stop,
            on_started=lambda: err.print(f"rapt {replica.name} is ready at {replica.http.url}", highlight=False),
        )

    _run(serve())


async def _beside(
    embedded: assembly.Embedded, settings: Settings, stop: asyncio.Event, work: Callable[[], Awaitable[int]]
) -> int:
    """Run the services, and `work` as soon as they are ready; stop them when it ends. Returns its exit code."""
    tasks: list[asyncio.Task[int]] = []

    async def wrapped() -> int:
        try:
            return await work()
        finally:
            stop.set()

    await run(
        embedded.parts,
        graceful_timeout_s=settings.graceful_timeout_s,
        stop=stop,
        on_started=lambda: tasks.append(asyncio.create_task(wrapped(), name="work")),
    )
    return await tasks[0]


def _welcome(embedded: assembly.Embedded) -> None:
    out.print(f"\nRapt is ready: [bold]{embedded.http.url}[/bold]")
    out.print(
        "Log in as [bold]student[/bold], [bold]instructor[/bold] or [bold]admin[/bold]; "
        f"password: {embedded.password_hint}",
        soft_wrap=True,
    )
    out.print("Stop with Ctrl-C.\n")


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run on uvloop where it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
