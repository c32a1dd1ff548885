"""The server process of the page tests: two shops from signed releases, on a free port."""

from __future__ import annotations

import sys
from pathlib import Path

from fedguide.api.app import create_app
from fedguide.api.server import listen, serve
from fedguide.guide.engine import open_guide
from fedguide.web.pages import add_pages
from tests.guide.sample import LAST_DAY, a_card, a_model, a_release, some_histories


def main(folder: Path) -> None:
    guides = {}
    for seed, shop in enumerate(("north", "南店")):
        release = a_release(folder / f"shop-{seed}", a_model(seed, copies=3), a_card(shop))
        histories = some_histories(release.model, seed=seed)
        guides[shop] = open_guide(release, histories, lambda: LAST_DAY + 1)
    app = create_app(guides)
    add_pages(app, guides, demo=True)
    listening = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    serve(app, listening)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
