"""Real programs at both ends: nginx, curl, iperf3, traceroute, ping"""

import contextlib
import json
import re
import signal

_NGINX = """
worker_processes 1;
user root;
master_process off;
daemon off;
error_log stderr;
pid {directory}/nginx-{port}.pid;
events {{ }}
http {{
    log_format seen '$remote_addr $remote_port $server_addr $request_uri $status';
    access_log {directory}/nginx-{port}.log seen;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {port};
        location / {{ root {directory}; }}
        location /hello {{ return 200 "hello from {role}\\n"; }}
    }}
}}
"""


class Nginx:
    """A web server that notes where each request came from."""

    def __init__(self, host, port, directory):
        self._log = directory / f"nginx-{port}.log"
        configuration = directory / f"nginx-{port}.conf"
        configuration.write_text(_NGINX.format(directory=directory, port=port, role=host.role))
        self.process = host.start("nginx", "-c", configuration, "-p", directory,
                                  directory=directory)
        self.process.until(lambda: host.run("ss", "-Hnlt", f"sport = :{port}").stdout,
                           "nginx listens")

    def seen(self):
        """(address, port) of every client so far."""
        lines = self._log.read_text().splitlines()
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop(signal.SIGTERM)


def curl(host, url, *options, check=True):
    return host.run("curl", "-sS", "--max-time", "10", *options, url, check=check)


@contextlib.contextmanager
def iperf3_server(host, port, directory):
    with host.start("iperf3", "-s", "-p", port, directory=directory) as server:
        server.until(lambda: host.run("ss", "-Hnlt", f"sport = :{port}").stdout, "iperf3 listens")
        yield


def iperf3(host, address, port, *options):
    """Runs the client for two seconds; its report, which must not hold an error."""
    done = host.run("iperf3", "-c", address, "-p", port, "-t", "2", "-J", *options, check=False)
    report = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    assert done.returncode == 0
    return report["end"]


_HOP = re.compile(r"^\s*(\d+)\s+(\S+)", re.MULTILINE)


def traceroute(host, address, *options):
    """The hops, in order; "*" for one that did not answer."""
    done = host.run("traceroute", "-n", "-q", "1", "-w", "3", "-m", "6", *options, address)
    return [hop for _, hop in _HOP.findall(done.stdout)]


def ping(host, address, *options, check=True):
    return host.run("ping", "-n", "-W", "3", *options, address, check=check)
