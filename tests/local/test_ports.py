"""A taken port is told in one line that says what to do."""

from __future__ import annotations

import os
import socket

import pytest

from muster_local.errors import PortInUse
from muster_local.ports import Port, accepts_connections, free_ports, require_free


def test_a_taken_port_names_the_service_the_setting_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(PortInUse) as error:
            require_free(Port(number, "MUSTER_MLFLOW_PORT"), host="127.0.0.1", service="MLflow")
    message = str(error.value)
    assert f"port {number} of MLflow is in use by process {os.getpid()}" in message
    assert "MUSTER_MLFLOW_PORT" in message
    assert "\n" not in message


def test_a_free_port_is_free() -> None:
    (number,) = free_ports(1)
    require_free(Port(number, "X"), host="127.0.0.1", service="x")
    assert not accepts_connections("127.0.0.1", number)


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20
