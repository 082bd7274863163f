"""Calls the interface of `keepwell demo` in ways that its own document allows and forbids, and fails on what the document does not say.

    python check.py PROGRAM FOLDER

PROGRAM is the built keepwell, FOLDER one for schemathesis to leave its notes in. It is run by `cargo xtask api`, which sees to both, with the Python
in which schemathesis is installed. What is tried is the same in every run: the seed is fixed, and so are the accounts that the demonstration makes up.
"""

import json
import pathlib
import signal
import subprocess
import sys
import time

import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

SEED = "7"
# Of each operation, of each kind of case. The whole took 37 s on two cores.
EXAMPLES = "60"
PATIENCE_S = 120
# What has to hold of every answer. That no address answers without a token, or with a wrong one, is tried by the tests of the table of routes: here
# so many wrong tokens would meet the limit on wrong tokens.
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    ]
)


def main(program, folder):
    folder.mkdir(parents=True, exist_ok=True)
    demo = subprocess.Popen(
        [program, "demo", "--json", "--listen", "127.0.0.1:0", "--users", "3"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready = json.loads(demo.stdout.readline())
        console, token = ready["console"].rstrip("/"), ready["token"]
        known = ids(console, token)
        # With ids that nobody has, and with ids of what is there.
        passed = all([run(console, token, folder, {}), run(console, token, folder, known)])
        metrics(console, token)
    finally:
        demo.send_signal(signal.SIGTERM)
        ended = demo.wait(timeout=30)
    if ended != 0:
        print(f"the demonstration ended with {ended}")
    return 0 if passed and ended == 0 else 1


def ids(console, token):
    """One id of every kind that a path has."""

    def get(path):
        answer = requests.get(f"{console}/api/v1{path}", headers={"authorization": f"Bearer {token}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def first(path):
        return get(path)["items"][0]["id"]

    task, run = first("/tasks"), first("/runs")
    begin = time.monotonic()
    while get(f"/runs/{run}")["finished_at"] is None:
        if time.monotonic() - begin > PATIENCE_S:
            raise TimeoutError("the first backup is not over")
        time.sleep(0.1)
    account = first(f"/tasks/{task}/accounts")
    point = first(f"/accounts/{account}/restore-points")
    inside = f"/accounts/{account}/restore-points/{point}"
    inbox = next(one for one in get(f"{inside}/folders")["items"] if one["well_known"] == "inbox")["id"]
    # Not the one whose token this is: that one is the last administrator.
    new = {"name": "Bea", "address": "bea@example.com", "role": "auditor"}
    made = requests.post(f"{console}/api/v1/users", json=new, headers={"authorization": f"Bearer {token}"}, timeout=30)
    made.raise_for_status()
    return {
        "user": made.json()["user"]["id"],
        "connection": first("/connections"),
        "task": task,
        "run": run,
        "account": account,
        "point": point,
        "folder": inbox,
        "message": first(f"{inside}/folders/{inbox}/messages"),
    }


def metrics(console, token):
    """Reads /metrics as Prometheus does: what is no OpenMetrics raises an error."""
    answer = requests.get(f"{console}/metrics", headers={"authorization": f"Bearer {token}"}, timeout=30)
    answer.raise_for_status()
    families = list(text_string_to_metric_families(answer.text))
    if not any(sample.name == "keepwell_jobs_finished_total" and sample.value > 0 for family in families for sample in family.samples):
        raise ValueError("the metrics know of no backup")
    print(f"{len(families)} metrics")


def run(console, token, folder, known):
    """Runs schemathesis, with these ids in paths. Says whether it found nothing."""
    config = folder / "schemathesis.toml"
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in known.items()]
    config.write_text("\n".join(["[parameters]", *lines, ""]))
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [schemathesis, "--config-file", config, "run", f"{console}/api/v1/openapi.json"]
    command += ["--header", f"Authorization: Bearer {token}", "--checks", CHECKS]
    # A machine that is busy with something else is no finding.
    command += ["--request-timeout", str(PATIENCE_S)]
    command += ["--seed", SEED, "--generation-deterministic"]
    command += ["--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing", "--workers", "1"]
    command += ["--suppress-health-check", "all", "--no-color", "--warnings", "off"]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
