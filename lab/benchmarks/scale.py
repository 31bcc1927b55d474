"""What a cluster of up to 1,000 nodes would do, predicted by a queueing model; see docs/scale.md.

    python lab/benchmarks/scale.py --measured cluster.json [--megabytes 6] [--json scale.json]

Calibrated by what `lab/benchmarks/cluster.py` measured of a node. What it prints of more nodes is extrapolated from
that, and was not checked against a sweep over several nodes.
`--measure-dispatch` only measures the driver's processor time for a ticket, `--measure-cost` that of a photograph.

The model, event by event: workers take tickets (groups of photographs) from one driver, which serves them one after
the other; photographs come from and results go to one store, which moves so many bytes and answers so many requests a
second for all together; a photograph's work is drawn from a log-normal distribution with the measured median and 99th
percentile; a node is lost now and then, which costs its workers' tickets the work they had done, and the time to start
anew.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

NODES = (1, 3, 10, 30, 100, 300, 1000)
TICKETS_PER_WORKER = 40
"""Length of a simulated run: enough that its start and its end weigh little."""
Z99 = 2.3263
"""99th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Model:
    """What a run costs.

    Attributes:
        median, p99: seconds of work for one photograph on one core, storage left out.
        group: photographs in a ticket.
        dispatch: seconds of the driver's time for one ticket.
        megabytes: read and written for one photograph.
        bandwidth: of the store, megabytes a second for all workers together.
        requests: that the store answers in a second; a photograph takes 3 of them (photograph, mask, result).
        latency: seconds of one request.
        cores: workers of a node.
        node_hours_to_loss: mean time until a node is lost (spot machines).
        restart: seconds until a lost node's workers are there again.
        price: of a node's hour.
    """

    median: float
    p99: float
    group: int = 32
    dispatch: float = 0.01
    megabytes: float = 6.0
    bandwidth: float = 10_000.0
    requests: float = 5_500.0
    latency: float = 0.03
    cores: int = 8
    node_hours_to_loss: float = 100.0
    restart: float = 180.0
    price: float = 0.20

    @property
    def mean(self) -> float:
        """Seconds of work for one photograph, on average."""
        sigma = math.log(self.p99 / self.median) / Z99
        return self.median * math.exp(sigma**2 / 2)


@dataclass(frozen=True)
class Prediction:
    """What a number of nodes is predicted to do.

    Attributes:
        efficiency: share of the workers' time that is work.
        waiting: share of it that is waiting for the store's answers, request by request.
        bottleneck: "driver", "store: bytes" or "store: requests" where one of them is busy for over 90 % of the time,
            "stragglers" where workers idle at the end for over 10 %, else what takes more of the workers' time: "work"
            (decoding, encoding, the network) or "waiting for requests".
        driver_use, store_use: share of the run in which they are busy.
        idle_at_the_end, lost: share of the workers' time.
    """

    nodes: int
    photographs_per_second: float
    efficiency: float
    waiting: float
    bottleneck: str
    driver_use: float
    store_use: float
    idle_at_the_end: float
    lost: float
    cost_per_million: float
    hours_per_million: float


def simulate(model: Model, nodes: int, seed: int = 0) -> Prediction:
    """Run the model once, `TICKETS_PER_WORKER` tickets for every worker."""
    rng = np.random.default_rng(seed)
    workers = nodes * model.cores
    tickets = workers * TICKETS_PER_WORKER
    sigma = math.log(model.p99 / model.median) / Z99
    moving, store_limit = max(
        (model.group * model.megabytes / model.bandwidth, "store: bytes"),
        (model.group * 3 / model.requests, "store: requests"),
    )
    waiting = model.group * 3 * model.latency
    free = [(0.0, worker) for worker in range(workers)]
    driver = store = lost = 0.0
    ends = np.zeros(workers)
    left = tickets
    while left:
        now, worker = heapq.heappop(free)
        driver = max(driver, now) + model.dispatch
        work = float(rng.lognormal(math.log(model.median), sigma, model.group).sum()) + waiting
        if rng.random() < work / (3600 * model.node_hours_to_loss):
            # Part of a ticket, and the wait for another machine; then it is done again.
            wasted = float(rng.random()) * work + model.restart
            lost += wasted
            heapq.heappush(free, (driver + wasted, worker))
            continue
        left -= 1
        # The store moves its bytes while the worker works: the ticket ends when both are through.
        store = max(store, driver) + moving
        end = max(driver + work, store)
        ends[worker] = end
        heapq.heappush(free, (end, worker))
    duration = float(ends.max())
    rate = tickets * model.group / duration
    uses = {"driver": tickets * model.dispatch / duration, store_limit: tickets * moving / duration}
    idle = float((duration - ends).mean() / duration)
    efficiency = rate * model.mean / workers
    waited = tickets * waiting / (duration * workers)
    bottleneck = max(uses, key=uses.__getitem__)
    if uses[bottleneck] < 0.9:
        shares = {"work": efficiency, "waiting for requests": waited}
        bottleneck = "stragglers" if idle > 0.1 else max(shares, key=shares.__getitem__)
    hours = 1e6 / rate / 3600
    return Prediction(
        nodes=nodes,
        photographs_per_second=round(rate, 1),
        efficiency=round(efficiency, 3),
        waiting=round(waited, 3),
        bottleneck=bottleneck,
        driver_use=round(uses["driver"], 3),
        store_use=round(uses[store_limit], 3),
        idle_at_the_end=round(idle, 3),
        lost=round(lost / (duration * workers), 4),
        cost_per_million=round(hours * nodes * model.price, 2),
        hours_per_million=round(hours, 2),
    )


def measure_cost() -> dict[str, float]:
    """Processor seconds of one photograph on one core: fixed, for a megapixel and for a hole of 64x64 pixels."""
    import pyvips

    from wavepaint import Inpainter
    from wavepaint.options import Options, as_boxes

    inpainter = Inpainter(runtime="onnxruntime", threads=1)
    rows, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for side in (256, 1024, 2048, 3072):
            noise = pyvips.Image.gaussnoise(side, side, mean=128, sigma=6).cast("uchar")
            photo = Path(folder) / "photo.jpg"
            noise.bandjoin([noise, noise]).jpegsave(str(photo), Q=90)
            for holes in (1, 4):
                # Apart, so that each is a crop of its own, where there is room for that.
                boxes = as_boxes([(side // 5 * n, side // 5 * n, 64, 64) for n in range(holes)])
                for _ in range(2):
                    begun = time.process_time()
                    inpainter.fill(photo, None, Options(boxes=boxes), Path(folder) / "filled.jpg")
                    taken = time.process_time() - begun
                if side > 256 or holes == 1:
                    rows.append((1.0, side * side / 1e6, float(holes)))
                    seconds.append(taken)
    fixed, megapixel, hole = np.linalg.lstsq(np.array(rows), np.array(seconds), rcond=None)[0]
    return {"fixed": round(fixed, 4), "megapixel": round(megapixel, 4), "hole": round(hole, 4)}


class _Nothing:
    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return batch


def measure_dispatch(few: int = 20, many: int = 220) -> float:
    """Seconds of this process's processor time that Ray Data takes for one more ticket of no work."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    import ray
    import ray.data

    ray.init("local", num_cpus=1, object_store_memory=10**8, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    taken = []
    for count in (few, many):
        begun = time.process_time()
        tickets = ray.data.from_items([{"ticket": str(number)} for number in range(count)], override_num_blocks=count)
        pool = ray.data.ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=2)
        assert sum(1 for _ in tickets.map_batches(_Nothing, batch_size=1, compute=pool).iter_rows()) == count
        taken.append(time.process_time() - begun)
    ray.shutdown()
    return (taken[1] - taken[0]) / (many - few)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure-dispatch", action="store_true")
    parser.add_argument("--measure-cost", action="store_true", help="of a megapixel and of a hole")
    parser.add_argument("--measured", type=Path, help="report of lab/benchmarks/cluster.py")
    parser.add_argument("--scale-work", type=float, default=1.0, help="times the measured work: larger photographs")
    for name, kind in (("megabytes", float), ("bandwidth", float), ("requests", float), ("group", int)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Model, name))
    parser.add_argument("--dispatch", type=float, default=Model.dispatch, help="seconds of the driver a ticket")
    parser.add_argument("--price", type=float, default=Model.price, help="of a node's hour")
    parser.add_argument("--json", type=Path, help="also write the predictions to this file")
    arguments = parser.parse_args()
    if arguments.measure_dispatch:
        print(f"{1000 * measure_dispatch():.1f} ms of the driver for a ticket")
        return 0
    if arguments.measure_cost:
        print(json.dumps(measure_cost()))
        return 0
    if arguments.measured is None:
        parser.error("name the report of lab/benchmarks/cluster.py by --measured")
    run = json.loads(arguments.measured.read_text())["batch"]
    measured = Model(run["work_seconds_p50"], run["work_seconds_p99"])
    model = replace(
        measured,
        median=measured.median * arguments.scale_work,
        p99=measured.p99 * arguments.scale_work,
        **{
            name: getattr(arguments, name)
            for name in ("megabytes", "bandwidth", "requests", "group", "dispatch", "price")
        },
    )
    predictions = [asdict(simulate(model, nodes)) for nodes in NODES]
    text = json.dumps({"model": asdict(model), "predictions": predictions}, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
