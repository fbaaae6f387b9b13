/** What the virtual machine's root consists of: Debian packages and the few files that make it boot fast and answer us. */

export const suite = 'bookworm';

/** Systemd with a session bus, what rootless containers need, the peers, and what the pinned Node links to. The kernel comes besides: its package wants an initrd of its own. */
export const packages: readonly string[] = [
  'busybox-static',
  'ca-certificates',
  'conmon',
  'containernetworking-plugins',
  'crun',
  'dbus',
  'dbus-user-session',
  'e2fsprogs',
  'fuse-overlayfs',
  'iproute2',
  'iptables',
  'kmod',
  'libatomic1',
  'libpam-systemd',
  'libstdc++6',
  'login',
  'mount',
  'netavark',
  'nfs-kernel-server',
  'nftables',
  'passt',
  'passwd',
  'podman',
  'procps',
  'python3-minimal',
  'slirp4netns',
  'systemd',
  'systemd-sysv',
  'udev',
  'uidmap',
  'util-linux',
];

/** Its dependency is the kernel of the day. */
export const kernelPackage = 'linux-image-cloud-amd64';

/** The few modules between the kernel and its disk, in load order; ext4 is built in. */
export const bootModules: readonly string[] = [
  'virtio',
  'virtio_ring',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_blk',
  'virtio_console',
];

/** Where the checkout is inside. */
export const guestCheckout = '/tare';

/** PID 1 until the disk is there. */
export const initScript = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for m in ${bootModules.join(' ')}; do [ ! -e /m/$m.ko ] || $b insmod /m/$m.ko; done
$b mount -t ext4 /dev/vda /newroot || exec $b sh
$b mount -t ext4 -o ro /dev/vdb /newroot${guestCheckout}
$b mount --move /dev /newroot/dev
exec $b switch_root /newroot /lib/systemd/systemd
`;

/** Nobody needs them here, and under emulation each takes a second. */
export const maskedUnits: readonly string[] = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dev-hugepages.mount',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty.target',
  'kmod-static-nodes.service',
  'modprobe@configfs.service',
  'modprobe@dm_mod.service',
  'modprobe@drm.service',
  'modprobe@efi_pstore.service',
  'modprobe@fuse.service',
  'modprobe@loop.service',
  'nfs-blkmap.service',
  'nfs-client.target',
  'nfs-idmapd.service',
  'nfs-mountd.service',
  'nfs-server.service',
  'nfsdcld.service',
  'podman-auto-update.service',
  'podman-auto-update.timer',
  'podman-restart.service',
  'podman.service',
  'podman.socket',
  'proc-fs-nfsd.mount',
  'rpc-statd-notify.service',
  'rpc-svcgssd.service',
  'rpcbind.service',
  'rpcbind.socket',
  'run-rpc_pipefs.mount',
  'serial-getty@ttyS0.service',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'systemd-journal-flush.service',
  'systemd-machine-id-commit.service',
  'systemd-random-seed.service',
  'systemd-sysctl.service',
  'systemd-sysusers.service',
  'systemd-timesyncd.service',
  'systemd-tmpfiles-setup-dev.service',
  'systemd-udev-trigger.service',
  'systemd-update-utmp.service',
];

/** Files of the root, by path. The agent is no unit's child that anything waits for: a boot is over when it says hello. */
export const rootFiles: Readonly<Record<string, string>> = {
  '/etc/fstab': '/dev/vda / ext4 defaults 0 0\n',
  '/etc/hostname': 'tare-vm\n',
  '/etc/hosts': '127.0.0.1 localhost tare-vm\n',
  '/etc/machine-id': '6d1c4a1b7f0e4b0c9a6f5d3e2c1b0a99\n',
  // Else it is missing in a debootstrapped root, and podman wants to resolve names.
  '/etc/resolv.conf': '',
  '/etc/systemd/journald.conf.d/volatile.conf': '[Journal]\nStorage=volatile\n',
  '/etc/systemd/system/tare-agent.service': `[Unit]
Description=Runs what the test asks for
After=dbus.service systemd-logind.service
[Service]
ExecStart=/bin/sh ${guestCheckout}/test/vm/guest/agent.sh
StandardError=file:/dev/ttyS0
KillMode=process
Delegate=yes
TasksMax=infinity
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[Install]
WantedBy=multi-user.target
`,
};

/** The unprivileged user inside; useradd gives sub-ids. */
export const guestUser = 'alice';
