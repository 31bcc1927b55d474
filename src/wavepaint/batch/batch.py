"""The driver: decides what is left to do, and lets Ray Data spread it over machines."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from wavepaint import __version__
from wavepaint.batch.inputs import Columns, Masks, Ticket, make_plan
from wavepaint.batch.manifest import STATUSES, Manifest, read_status
from wavepaint.batch.storage import Place
from wavepaint.batch.worker import Finished, Work, Worker, hear_warnings
from wavepaint.errors import OptionError, WavepaintError
from wavepaint.options import Engine, Options, as_boxes
from wavepaint.runtime.loading import OPENVINO_REPAYS, load_runtime, model_file, packaged_network
from wavepaint.server.settings import available_cores

LOCAL = "local"
OBJECT_STORE_BYTES = 200 * 2**20
"""Of a Ray that runs on this machine alone: only tickets pass through it."""
CONNECT_SECONDS = 5.0
"""That the address of a cluster may take to answer; Ray itself would wait for minutes."""
TICKET_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What to compute.

    Attributes:
        input: a folder, a list (.txt, .tsv, .lst), or .parquet files or .tar shards by name or pattern; here or at any
            URL that fsspec knows.
        output: folder or URL for the results and the manifest.
        masks: a folder of masks, or one for all; None where the inputs bring theirs, or `options` say what to fill.
        options: of every photograph.
        engine: of the network; "auto" is decided once, for all workers and all drivers.
        columns: of Parquet inputs.
        group: inputs that are handed out together, and that a kill costs at most.
        together: photographs under way in a worker at a time; crops of the same size then run through the network
            together, which pays on graphics processors.
        tries: how often an input may end its worker, or storage fail, until it is given up; at least 2.
        deadline: seconds for one photograph.
        overwrite: replace results that were in the output folder before the batch began.
        retry_failed: do again what failed before.

    Raises:
        OptionError: a value that makes no sense.
    """

    input: str
    output: str
    masks: str | None = None
    options: Options = field(default_factory=Options)
    engine: Engine = field(default_factory=Engine)
    columns: Columns = field(default_factory=Columns)
    group: int = 32
    together: int = 1
    tries: int = 3
    deadline: float = 600.0
    overwrite: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        for name, least in (("group", 1), ("together", 1), ("tries", 2)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.deadline > 0:
            raise OptionError(f"deadline must be more than 0 seconds, got {self.deadline:g}")
        if self.options.format is not None:
            raise OptionError("the format of a result follows from its name, not from an option")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where to compute it.

    Attributes:
        address: of a Ray cluster; None for that of RAY_ADDRESS, which Ray sets in its jobs, or else this machine alone.
        workers: how many at most; None for as many as the cluster has room for when the batch begins.
        cores: of one worker, and threads of its network.
        gpus: of one worker; a share such as 0.5 lets two use one.

    Raises:
        OptionError: a value that makes no sense.
    """

    address: str | None = None
    workers: int | None = None
    cores: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers must be at least 1, got {self.workers}")
        if self.cores < 1:
            raise OptionError(f"cores must be at least 1, got {self.cores}")
        if self.gpus < 0:
            raise OptionError(f"gpus must not be negative, got {self.gpus:g}")


@dataclass(frozen=True)
class Progress:
    """How far a batch is, drivers before this one included.

    Attributes:
        counts: inputs by status.
        total: inputs in all; None while shards are left that nobody has counted.
        reasons: why inputs failed, those reported since the last progress.
    """

    counts: dict[str, int]
    total: int | None
    reasons: list[str]


def run_batch(batch: Batch, cluster: Cluster) -> Generator[Progress]:
    """Do a batch, or go on with it; the first progress comes before the work, and one after every ticket.

    Giving up the iteration, Ctrl-C included, ends the work; `manifest.parquet` is written in any case. Nothing is noted
    in the output folder before the cluster has answered.

    Raises:
        PhotoError, MaskError: there is no input, or no such masks.
        OptionError: a value that makes no sense, no such cluster, or an output folder that holds another batch or the
            inputs.
        CheckpointError, MissingExtraError: the network cannot be loaded.
        WavepaintError: it cannot be loaded by a worker, whose machine is named; the manifest cannot be written; or, at
            the end, inputs are left because a file could not be read.
    """
    begun = time.time()
    options = batch.options
    _check_address(_address(cluster))
    masks = Masks.find(batch.masks, wanted=not (options.boxes or options.alpha))
    output = Place.of(batch.output)
    _check_apart(Place.of(batch.input), masks, output)
    manifest = Manifest(output, batch.tries)
    model = _read_model(batch.engine)
    runtime = _choose_runtime(batch.engine, cluster, manifest)
    settings = _settings(batch, masks, model, runtime, cluster)
    manifest.check_settings(settings)
    if batch.retry_failed:
        manifest.drop_failed()
    plan = make_plan(Place.of(batch.input).url, masks, manifest, batch.columns, batch.group)
    session = None
    unread: list[str] = []
    try:
        with _workers(plan.tickets, cluster) as spread:
            session = manifest.begin_session(settings)
            manifest.write_total(plan.total)
            counts = Counter(read_status(output, 0).counts)
            yield Progress(dict(counts), plan.total, [])
            work = Work(
                output=output,
                masks=masks,
                columns=batch.columns,
                options=options,
                model=model,
                runtime=runtime,  # type: ignore[arg-type]  # the name of a runtime that was loaded
                threads=cluster.cores,
                group=batch.group,
                together=batch.together,
                tries=batch.tries,
                deadline=batch.deadline,
                overwrite=batch.overwrite,
                session=session,
            )
            # What is recorded of files that are left is in the counts already, and comes again with their end.
            partial = {ticket.id: manifest.counts_of(ticket.id) for ticket in plan.tickets if ticket.kind != "plan"}
            with closing(spread(work)) as results:
                for ticket, finished in results:
                    counts.update(finished.counts)
                    counts.subtract(partial.pop(ticket, {}))
                    unread += [finished.unread] if finished.unread else []
                    yield Progress(dict(counts), plan.total, finished.reasons)
        manifest.forget_tries()
        manifest.sweep(before=begun)
        final = read_status(output, 0).counts
        recorded = sum(final.values())
        if unread or recorded < (plan.total or 0):
            raise WavepaintError(_what_is_left(output, recorded, plan.total, unread))
        manifest.write_total(recorded)
        yield Progress(final, recorded, [])
    except (GeneratorExit, KeyboardInterrupt, SystemExit, WavepaintError):
        # The photographs that were under way have not ended their workers.
        manifest.forget_tries()
        raise
    finally:
        if plan.place is not None:
            plan.place.remove()
        if session is not None:
            manifest.write_merged()


def _what_is_left(output: Place, recorded: int, total: int | None, unread: list[str]) -> str:
    known = f"only {recorded} of {total} inputs are recorded" if total is not None else "not all inputs are recorded"
    return ": ".join([output.url, known, *unread[:1]]) + "; the same command again goes on"


def _check_apart(source: Place, masks: Masks, output: Place) -> None:
    """Refuse to replace photographs or masks by results.

    Raises:
        OptionError: they would.
    """
    for what, place in (("INPUT", source), ("--masks", masks.place)):
        if place is not None and place.is_same(output):
            raise OptionError(f"{output.url}: is {what} and the output folder: results would replace what is there")


def _read_model(engine: Engine) -> tuple[str, bytes] | None:
    """A network's file, for workers that may not see it."""
    path = model_file(engine.model)
    return None if path is None else (path.name, path.read_bytes())


def _choose_runtime(engine: Engine, cluster: Cluster, manifest: Manifest) -> str:
    """The runtime of all workers: that of the drivers before, or what a folder of many photographs would take here.

    The network is loaded for that, so that one that cannot be is found out at once; graphics processors are perhaps
    the workers' alone.
    """
    name = engine.runtime
    if name == "auto" and (before := manifest.read_batch()) is not None:
        name = before["settings"].get("runtime", name)
    if cluster.gpus > 0:
        return "torch" if name == "auto" else name
    return load_runtime(engine.model, name, cluster.cores, OPENVINO_REPAYS).name


def _settings(
    batch: Batch, masks: Masks, model: tuple[str, bytes] | None, runtime: str, cluster: Cluster
) -> dict[str, Any]:
    """What results depend on, in plain values."""
    options = asdict(batch.options)
    options["boxes"] = [[box.left, box.top, box.width, box.height] for box in as_boxes(batch.options.boxes)]
    return {
        "input": Place.of(batch.input).url,
        "masks": None if masks.place is None else masks.place.url,
        "columns": asdict(batch.columns),
        "model": hashlib.sha256(packaged_network() if model is None else model[1]).hexdigest(),
        "runtime": runtime,
        "device": "gpu" if cluster.gpus > 0 else "cpu",
        "overwrite": batch.overwrite,
        "version": __version__,
        **options,
    }


# -- Ray ---------------------------------------------------------------------------------------------------------------


Spread = Callable[[Work], Generator[tuple[str, Finished]]]
"""Has tickets done by workers, and yields what became of each, as they end."""


@contextmanager
def _workers(tickets: list[Ticket], cluster: Cluster) -> Iterator[Spread]:
    """Room for workers on a cluster that has answered, if there are tickets."""
    if not tickets:
        yield _no_work
        return
    with _connected(cluster) as ray:
        room = _room(ray.cluster_resources(), cluster)
        yield lambda work: _spread(ray, tickets, work, cluster, room)


def _no_work(_: Work) -> Generator[tuple[str, Finished]]:
    yield from ()


def _spread(
    ray: Any, tickets: list[Ticket], work: Work, cluster: Cluster, room: int
) -> Generator[tuple[str, Finished]]:
    workers = cluster.workers or room
    # One ticket a block: that is what Ray hands out, and what it hands out again when a machine is lost.
    rows = ray.data.from_items([{"ticket": each.to_json()} for each in tickets], override_num_blocks=len(tickets))
    finished = rows.map_batches(
        _Actor,
        fn_constructor_args=(work,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=workers,
            initial_size=min(workers, room, len(tickets)),
            # One under way and one at hand.
            max_tasks_in_flight_per_actor=2,
        ),
        num_cpus=cluster.cores,
        num_gpus=cluster.gpus,
    )
    for row in finished.iter_rows():
        if row["error"]:
            raise WavepaintError(f"on {row['node']}: {row['error']}")
        counts = {status: row[status] for status in STATUSES}
        yield row["ticket"], Finished(counts, list(row["reasons"]), row["seconds"], row["unread"])


def _address(cluster: Cluster) -> str:
    return cluster.address or os.environ.get("RAY_ADDRESS") or LOCAL


def _check_address(address: str) -> None:
    """See whether anything listens there.

    Raises:
        OptionError: it is no address, or nothing does.
    """
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise OptionError(f"{address}: not the address of a Ray cluster, which is HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{address}: no Ray cluster to work on: {reason}") from None


def _room(resources: dict[str, float], cluster: Cluster) -> int:
    """How many workers the cluster has room for.

    Raises:
        OptionError: for none.
    """
    room = int(resources.get("CPU", 0) // cluster.cores)
    if cluster.gpus:
        room = min(room, int(resources.get("GPU", 0) / cluster.gpus))
    if room < 1 and cluster.workers is None:
        has = f"{resources.get('CPU', 0):g} cores and {resources.get('GPU', 0):g} GPUs"
        raise OptionError(
            f"the cluster has no room for a worker of {cluster.cores} cores and {cluster.gpus:g} GPUs: it has {has}; "
            "name --workers if it is to grow"
        )
    return max(room, 1)


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, quiet; started for the occasion, and stopped afterwards, unless this process has it already."""
    # Before Ray is imported: nothing here reports to anybody, and its own log stays in its files.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if ray.is_initialized():
        yield _quiet(ray)
        return
    address = _address(cluster)
    try:
        if address == LOCAL:
            cores = max(available_cores(), cluster.cores)
            ray.init(
                LOCAL,
                num_cpus=max(cores, (cluster.workers or 1) * cluster.cores),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
        else:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(f"{address}: no Ray cluster to work on: {' '.join(str(error).split())}") from None
    try:
        yield _quiet(ray)
    finally:
        ray.shutdown()


def _quiet(ray: Any) -> Any:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray


class _Actor:
    """A worker in Ray: tickets as rows in, what became of them as rows out, and metrics for Ray's dashboard."""

    def __init__(self, work: Work) -> None:
        from ray.util.metrics import Counter as RayCounter
        from ray.util.metrics import Histogram

        hear_warnings()
        self._worker = Worker(work)
        self._photographs = RayCounter("wavepaint_photographs", "Inputs done with.", ("status",))
        self._seconds = Histogram("wavepaint_ticket_seconds", "Time of a ticket.", list(TICKET_SECONDS))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        ticket = Ticket.from_json(batch["ticket"][0])
        finished, error = Finished({}, [], 0.0), ""
        try:
            finished = self._worker.do(ticket)
        except WavepaintError as problem:
            # As a value: of an exception, Ray would bring back the text of its traceback.
            error = str(problem)
        for status, count in finished.counts.items():
            self._photographs.inc(count, {"status": status})
        self._seconds.observe(finished.seconds)
        row = {
            "ticket": ticket.id,
            **{status: finished.counts.get(status, 0) for status in STATUSES},
            "reasons": finished.reasons,
            "seconds": finished.seconds,
            "unread": finished.unread,
            "error": error,
            "node": platform.node(),
        }
        return {name: [value] for name, value in row.items()}
