"""First principles: verify."""

from rich import box
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json

__all__ = ["verify"]


@app.command
def verify(*names: str, json_: Json = False) -> None:
    """Check methods against their exact truths: measured, expected, tolerance. Exits with 1 if one fails.

    Parameters
    ----------
    names
        Checks, or what their names begin with; all by default.
    """
    from pendio.exact.verify import verify as run

    rows = []
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("name", "what is exact about it", "measured", "expected", "tolerance", ""):
        table.add_column(name, justify="right" if name in ("measured", "expected", "tolerance") else "left")
    for row in run(names):
        rows.append(row)
        mark = "ok" if row.passed else "[bold red]FAILED[/]"
        expected = f"{'≤ ' if row.relation == '≤' else ''}{row.expected:.10g}"
        table.add_row(row.name, row.about, f"{row.measured:.10g}", expected, f"{row.tolerance:g}", mark)
    failed = [row.name for row in rows if not row.passed]
    if json_:
        print_json([row.to_dict() for row in rows])
    else:
        console().print(table)
        told = f"failed: {', '.join(failed)}" if failed else "all passed"
        print(f"{len(rows)} checks in {sum(row.seconds for row in rows):.1f} s: {told}")
    if failed:
        raise SystemExit(1)
