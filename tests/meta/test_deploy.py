# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/ against each other, and against the library: times, ports and settings fit together.

What reads them for real, and the schemas, are in tests/deploy.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml
from support.deployed import DEPLOY, ends_within_s

from audio_connector import Timeouts
from audio_connector.cli.settings import PREFIX, ServeSettings, gather
from audio_connector.cluster import supervisor
from audio_connector.server.run import PORT

ROUTER_S = 6.0
"""For the whole of its dialling (PROTOCOL 1.1)."""

AUTOSCALER_S = 600.0
"""The cluster autoscaler gives a pod so long at most, whatever it asks for (its --max-graceful-termination-sec)."""


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def found(pattern: str, name: str) -> str:
    """The only group of the only place."""
    [only] = re.findall(pattern, text_of(name), flags=re.MULTILINE)
    return str(only)


def manifest(name: str) -> Any:
    return yaml.safe_load(text_of(f"kubernetes/{name}.yaml"))


def pod() -> Any:
    return manifest("deployment")["spec"]["template"]["spec"]


def container() -> Any:
    [only] = pod()["containers"]
    return only


def compose_bot() -> Any:
    return yaml.safe_load(text_of("compose.yaml"))["services"]["bot"]


def variables() -> dict[str, dict[str, str]]:
    """What each file says in the environment."""
    image = dict(re.findall(rf"\b({PREFIX}\w+)=(\S+)", text_of("Dockerfile")))
    image.pop("AUDIO_CONNECTOR_COMPILE")  # of the build
    return {
        "Dockerfile": image,
        "compose.yaml": compose_bot()["environment"],
        "deployment.yaml": {each["name"]: each["value"] for each in container()["env"]},
    }


def commands() -> dict[str, list[str]]:
    """What follows ``audio-connector serve`` in each file."""
    unit = shlex.split(found(r"^ExecStart=(.*)$", "systemd/audio-connector.service"))
    assert unit[1] == "serve"
    return {
        "compose.yaml": compose_bot()["command"],
        "deployment.yaml": container()["args"],
        "audio-connector.service": unit[2:],
    }


def seconds(text: str) -> float:
    """Of "45", "45s" or "2h"."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)?", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}[unit]


# Ends.


def test_docker_waits_for_a_drain() -> None:
    drain_s = float(variables()["compose.yaml"]["AUDIO_CONNECTOR_DRAIN_S"])
    assert seconds(compose_bot()["stop_grace_period"]) > ends_within_s(drain_s)
    assert seconds(found(r"docker stop --timeout (\d+)", "Dockerfile")) > ends_within_s(Timeouts().drain_s)


def test_systemd_waits_for_a_drain() -> None:
    settings, _ = gather({}, DEPLOY / "systemd" / "audio-connector.toml")
    assert settings.drain_s is not None
    stop_s = seconds(found(r"^TimeoutStopSec=(.*)$", "systemd/audio-connector.service"))
    assert stop_s > ends_within_s(settings.drain_s)


def test_systemd_waits_for_the_start_of_which_it_is_told() -> None:
    unit = "systemd/audio-connector.service"
    assert found(r"^Type=(.*)$", unit) == "notify"
    # The first worker loads, then the I/O processes listen, one after another, then all workers become ready.
    starts_s = supervisor.START_S + supervisor.LISTEN_S + supervisor.START_S
    assert seconds(found(r"^TimeoutStartSec=(.*)$", unit)) > starts_s


def test_kubernetes_waits_for_the_calls_and_for_a_drain() -> None:
    sleep_s = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = float(variables()["deployment.yaml"]["AUDIO_CONNECTOR_DRAIN_S"])
    assert sleep_s + ends_within_s(drain_s) < pod()["terminationGracePeriodSeconds"] < AUTOSCALER_S
    assert sleep_s > 2 * readiness_s(), "whoever asks for readiness has stopped to send calls"


def readiness_s() -> float:
    probe = container()["readinessProbe"]
    return float(probe["periodSeconds"] * probe["failureThreshold"])


def test_the_probes_leave_a_server_the_time_that_it_may_take() -> None:
    startup, liveness = container()["startupProbe"], container()["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > supervisor.START_S
    assert (startup["httpGet"]["path"], liveness["httpGet"]["path"]) == ("/readyz", "/healthz")
    assert container()["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # An I/O process that died listens again long before.
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= supervisor.LISTEN_S


def test_the_health_check_of_the_image_leaves_it_the_time_to_start() -> None:
    assert seconds(found(r"--start-period=(\S+)", "Dockerfile")) >= supervisor.START_S


# Proxies.

SILENCE = {
    "nginx/nginx.conf": r"proxy_(?:read|send)_timeout (\S+);",
    "haproxy/haproxy.cfg": r"timeout tunnel (\S+)",
    "kubernetes/ingress-controller.yaml": r"timeout-tunnel: (\S+)",
}


@pytest.mark.parametrize("name", SILENCE)
def test_a_proxy_allows_for_more_silence_than_there_is(name: str) -> None:
    """The server pings and is answered; how often, tests/deploy/test_proxies.py shows what becomes of it."""
    timeouts = Timeouts()
    assert timeouts.ping_interval_s is not None
    assert timeouts.ping_timeout_s is not None
    allowed = re.findall(SILENCE[name], text_of(name))
    assert allowed
    assert min(map(seconds, allowed)) > 10 * (timeouts.ping_interval_s + timeouts.ping_timeout_s)


def test_a_second_server_is_tried_while_the_router_still_waits() -> None:
    nginx, caddy, haproxy = "nginx/nginx.conf", "Caddyfile", "haproxy/haproxy.cfg"
    assert seconds(found(r"proxy_next_upstream_timeout (\S+);", nginx)) < ROUTER_S
    assert 2 * seconds(found(r"proxy_connect_timeout (\S+);", nginx)) < ROUTER_S
    assert seconds(found(r"lb_try_duration (\S+)", caddy)) < ROUTER_S
    assert 2 * seconds(found(r"dial_timeout (\S+)", caddy)) < ROUTER_S
    assert 2 * seconds(found(r"timeout connect (\S+)", haproxy)) < ROUTER_S


@pytest.mark.parametrize(
    "name", ["Caddyfile", "nginx/nginx.conf", "haproxy/haproxy.cfg", "kubernetes/ingress.yaml"]
)
def test_every_proxy_keeps_health_and_metrics_inside(name: str) -> None:
    text = text_of(name)
    assert {page for page in ("healthz", "readyz", "metrics") if page in text} == {
        "healthz",
        "readyz",
        "metrics",
    }
    assert "404" in text
    assert "Forwarded" in text


# Names and numbers that stand in several files.


def test_everybody_means_the_same_port() -> None:
    port = str(PORT)
    assert variables()["Dockerfile"]["AUDIO_CONNECTOR_PORT"] == port
    assert found(r"^EXPOSE (\d+)$", "Dockerfile") == port
    assert compose_bot()["expose"] == [port]
    assert found(r"reverse_proxy bot:(\d+)", "Caddyfile") == port
    assert found(r"^ +server 127\.0\.0\.1:(\d+);", "nginx/nginx.conf") == port
    assert found(r"^ +server one 127\.0\.0\.1:(\d+)", "haproxy/haproxy.cfg") == port
    assert found(r"^ListenStream=127\.0\.0\.1:(\d+)$", "systemd/audio-connector.socket") == port
    assert container()["ports"] == [{"name": "ws", "containerPort": PORT}]
    [exposed] = manifest("service")["spec"]["ports"]
    assert (exposed["name"], exposed["targetPort"]) == ("ws", "ws")


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "deployment.yaml"])
def test_every_variable_is_a_setting(name: str) -> None:
    values = {variable.removeprefix(PREFIX).lower(): value for variable, value in variables()[name].items()}
    assert values
    ServeSettings.model_validate(values)


@pytest.mark.parametrize("name", ["compose.yaml", "deployment.yaml", "audio-connector.service"])
def test_every_command_serves_with_flags_that_there_are(name: str) -> None:
    app, *flags = commands()[name]
    assert app == "bot:on_connect"
    names = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert names <= {*ServeSettings.model_fields, "config"}
    assert "--workers" in flags, "a reload and a crash cost no call"


def test_the_image_has_the_user_that_kubernetes_takes_it_for() -> None:
    uid = found(r"^USER (\d+)$", "Dockerfile")
    assert found(r"--uid (\d+)", "Dockerfile") == uid
    assert {str(pod()["securityContext"][key]) for key in ("runAsUser", "runAsGroup")} == {uid}


def test_what_is_selected_has_the_labels() -> None:
    spec = manifest("deployment")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert labels == spec["selector"]["matchLabels"]
    assert labels == manifest("service")["spec"]["selector"]
    assert labels == manifest("pod-disruption-budget")["spec"]["selector"]["matchLabels"]


def test_a_rollout_and_a_drained_node_leave_most_of_the_replicas() -> None:
    spec = manifest("deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert 0 < manifest("pod-disruption-budget")["spec"]["maxUnavailable"] < spec["replicas"]
