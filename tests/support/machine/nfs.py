"""A real NFS server with two real clients, in Linux as a process of its own (user-mode Linux).

Debian's packages user-mode-linux, nfs-kernel-server and kmod have what it takes. The guest sees
this machine's files as its root; its mounts are its own. It needs root, because the guest has this
user's rights.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = "linux.uml"
TOOLS = (KERNEL, "modprobe", "exportfs", "rpc.nfsd", "rpc.mountd", "rpcbind")
EXPORT = "rw,no_root_squash,no_subtree_check,fsid=0,insecure"
# Each mount has caches of its own, as on two nodes.
CLIENT = "nosharecache,soft"
SECONDS = 240

INIT = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys
for folder in /run /mnt /lib/modules /var/lib/nfs; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
ln -s /usr/lib/uml/modules/$(uname -r) /lib/modules/
modprobe nfsd; modprobe nfsv4
mount -t nfsd nfsd /proc/fs/nfsd
mkdir -p /mnt/export /mnt/a /mnt/b /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
rpcbind -w; rpc.mountd
mount -t tmpfs tmpfs /mnt/export
exportfs -o {export} 127.0.0.1:/mnt/export
rpc.nfsd --grace-time 1 --lease-time 10 2
for client in a b; do mount -t nfs4 -o {client} 127.0.0.1:/ /mnt/$client; done
cd {root}
PYTHONPATH={root} {python} {script} > {output} 2>&1
sync; echo o > /proc/sysrq-trigger; sleep 10
"""


def run_on_nfs(code: str, folder: Path) -> str:
    """Run Python code in the guest, with one export mounted at /mnt/a and at /mnt/b.

    Return what it printed. Tests are skipped where the guest cannot be started.
    """
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"NFS in user-mode Linux needs {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("NFS in user-mode Linux needs root")
    script, output, init = folder / "script.py", folder / "output", folder / "init"
    script.write_text(code)
    output.touch()
    init.write_text(
        INIT.format(
            export=EXPORT,
            client=CLIENT,
            root=ROOT,
            python=sys.executable,
            script=script,
            output=output,
        )
    )
    init.chmod(0o755)
    kernel = [KERNEL, "rootfstype=hostfs", "root=/dev/root", "rw", "mem=512M", f"init={init}"]
    subprocess.run(
        [*kernel, "con=null", "quiet"], stdin=subprocess.DEVNULL, check=False, timeout=SECONDS
    )
    return output.read_text()
