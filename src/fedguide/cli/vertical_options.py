"""Options that commands of vertical training share, whether files are here or with partners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

OwnArgument = Annotated[Path, typer.Argument(help="The label party's CSV, JSON lines or Parquet")]
FolderArgument = Annotated[
    Path, typer.Argument(help="Folder that `vertical train` wrote, or a task over the hub")
]
TaskArgument = Annotated[str, typer.Argument(help="Name of the task", show_default=False)]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds that owners have to decide", min=0)
]
PartnersOption = Annotated[
    list[str] | None, typer.Option("--partner", help="NAME=FILE of a partner's table; repeatable")
]
KeyOption = Annotated[str, typer.Option("--key", help="Column that names the customer, everywhere")]
ShowOption = Annotated[
    bool,
    typer.Option(
        "--show-choice",
        help="Trees: let partners learn which of their splits are chosen; half the bytes and time, "
        "and it tells them something of the label",
    ),
]
LabelOption = Annotated[str, typer.Option("--label", help="Column to learn")]
ModelOption = Annotated[str, typer.Option("--model", help="gbdt (trees) or glm")]
ObjectiveOption = Annotated[
    str, typer.Option("--objective", help="binary, multiclass or regression")
]
HoldoutOption = Annotated[
    float, typer.Option("--holdout", help="Share of customers to judge by", min=0, max=0.9)
]
SeedOption = Annotated[int, typer.Option("--seed", help="Which customers are held", min=0)]
TreesOption = Annotated[int, typer.Option("--trees", help="Trees to grow", min=1)]
DepthOption = Annotated[int, typer.Option("--depth", help="Levels of splits", min=1)]
RateOption = Annotated[
    float, typer.Option("--learning-rate", help="Weight of each tree", min=0.001, max=1)
]
LeastNodeOption = Annotated[
    int, typer.Option("--least-node", help="Fewest customers a partner is asked about", min=1)
]
StepsOption = Annotated[int, typer.Option("--steps", help="Steps of a glm", min=1)]
KindOption = Annotated[str, typer.Option("--key-kind", help="What it holds: id, phone or email")]
