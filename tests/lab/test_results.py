import json
from pathlib import Path

import pytest

from lab.results.imported import stored_evaluation, stored_study
from lab.results.stored import Result, page, quoted, stale_pages, stored_results, write_pages
from wavepaint.errors import OptionError

CONTENT = {
    "title": "A title",
    "question": "What?",
    "command": "wavepaint x",
    "seed": 3,
    "machine": "a machine",
    "wavepaint": "0.1.0",
    "network": "ab" * 32,
    "conclusion": "So.",
    "tables": [
        {
            "id": "thin",
            "title": "thin holes",
            "columns": [["PSNR, dB", 2], ["time", 0], ["gap", 1]],
            "rows": {"ours": [[20.234, 19.5, 21], "0.1 s", None], "other": [7, "9 s", -1.25]},
        }
    ],
}
TABLE = """|  | PSNR, dB | time | gap |
|---|---|---|---|
| ours | 20.23 [19.50, 21.00] | 0.1 s |  |
| other | 7.00 | 9 s | -1.2 |
"""


def test_every_quoted_number_is_the_stored_one() -> None:
    stale = stale_pages()
    assert not stale, f"run python -m lab results: {', '.join(map(str, stale))}"


def test_the_readme_quotes_the_stored_results() -> None:
    assert "<!-- results:scores/headline -->" in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_a_table_is_written_from_its_numbers() -> None:
    assert Result("x", CONTENT).table("thin") == TABLE
    with pytest.raises(OptionError, match=r"x\.json has no table 'thick'; known: thin"):
        Result("x", CONTENT).table("thick")


def test_a_section_says_where_its_numbers_come_from() -> None:
    section = page({"x": Result("x", CONTENT)})
    for fact in (
        "## A title",
        "What?",
        "command: `wavepaint x`",
        "seed: 3",
        "a machine",
        "0.1.0",
        "`abab",
        TABLE,
        "So.",
    ):
        assert fact in section


def test_a_changed_number_in_a_quotation_is_put_right() -> None:
    results = {"x": Result("x", CONTENT)}
    good = f"before\n<!-- results:x/thin -->\n\n{TABLE}\n<!-- /results -->\nafter\n"
    assert quoted(good, results) == good
    assert quoted(good.replace("20.23", "20.99"), results) == good
    with pytest.raises(OptionError, match="no stored result 'y'; known: x"):
        quoted(good.replace("results:x", "results:y"), results)
    with pytest.raises(OptionError, match="lacks its end"):
        quoted(good.replace("<!-- /results -->", ""), results)


def test_pages_are_found_written_and_then_current(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:scores/headline -->\nold\n<!-- /results -->\n")
    assert {path.name for path in stale_pages(tmp_path)} == {"README.md", "results.md"}
    write_pages(tmp_path)
    assert ": package |" in readme.read_text()
    assert stale_pages(tmp_path) == {}


def test_a_file_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(OptionError, match=r"x\.json: not a stored result: KeyError"):
        stored_results(tmp_path)


def test_a_report_becomes_a_result_with_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(
        json.dumps(
            {
                "wavepaint": "0.1.0",
                "test_set": "SET",
                "test_set_manifest_sha256": "cd",
                "methods": {"a": "one", "b": "two"},
                "bootstrap_seed": 5,
            }
        )
    )
    (tmp_path / "summary.csv").write_text(
        "kind,area_percent,method,metric,count,mean,std,low,high,difference,difference_low,difference_high\n"
        "thin,all,a,hole_psnr,9,20.5,1,20,21,,,\n"
        "thin,all,a,vgg_distance,9,0.5,1,0.4,0.6,,,\n"
        "thin,all,b,hole_psnr,9,19.5,1,19,20,-1,-1.5,-0.5\n"
        "thin,0-10,a,hole_psnr,4,30,1,29,31,,,\n"
    )
    (tmp_path / "sets.csv").write_text("kind,method,metric,value\nthin,a,vgg_frechet,3.25\nthin,b,vgg_frechet,4.5\n")
    result = Result("x", stored_evaluation(tmp_path, "T", "wavepaint evaluate SET", "So."))
    overview = result.table("overview")
    assert "| thin: a | 20.50 [20.00, 21.00] |\n| thin: b | 19.50 [19.00, 20.00] |" in overview
    assert "0.5" not in overview.replace("20.50", "")
    assert result.table("differences").endswith("|---|---|\n| thin: b | -1.00 [-1.50, -0.50] |\n")
    assert "| a | 3.25 |\n| b | 4.50 |" in result.table("sets")
    assert "seed: 5" in result.section()
    with pytest.raises(OptionError, match="no report of an evaluation"):
        stored_evaluation(tmp_path / "gone", "T", "c", "So.")


def test_a_study_becomes_a_result_with_its_tables(tmp_path: Path) -> None:
    table = {
        "title": "At equal time: 9 images",
        "header": ["arm", "PSNR", "difference"],
        "rows": [["haar", "20.5", "reference"], ["db2", "20.4", "-0.1 [-0.2, -0.05]"]],
        "bold": [[False, False, False], [False, False, True]],
    }
    run = {
        "question": "Which?",
        "conclusion": "This.",
        "notes": ["Measured so."],
        "wavepaint": "0.1.0",
        "machine": {"processor": "P", "cores": 2},
        "plan": {"settings": {"seed": 4}},
        "tables": [{**table, "title": "The arms"}, table],
    }
    (tmp_path / "results.json").write_text(json.dumps(run))
    result = Result("x", stored_study(tmp_path, "T", "python -m lab ablate", ["At equal time"]))
    assert result.table("table-1").endswith("| haar | 20.5 | reference |\n| db2 | 20.4 | **-0.1 [-0.2, -0.05]** |\n")
    assert "seed: 4" in result.section()
    assert "This." in result.section()
    assert "Which? Measured so." in result.section()
    assert Result("x", stored_study(tmp_path, "T", "c", ["The arms"], "That.")).content["conclusion"] == "That."
    assert "The arms" not in result.section()
    with pytest.raises(OptionError, match="has these tables: The arms; At equal time: 9 images"):
        stored_study(tmp_path, "T", "c", ["At equal steps"])
    with pytest.raises(OptionError, match="no run of a study"):
        stored_study(tmp_path / "gone", "T", "c", ["The arms"])
