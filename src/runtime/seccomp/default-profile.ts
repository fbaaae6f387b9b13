import { capabilityBit } from '../../spec/capabilities.ts';
import type { LinuxSeccomp, SeccompArg, SeccompSyscall } from '../../spec/runtime-types.ts';
import { type NativeArch, archFamily } from './arch.ts';

const ENOSYS = 38;
const EPERM = 1;
const EINVAL = 22;
const AF_NETLINK = 16;
const NETLINK_AUDIT = 9;
/** PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32|UNAME26, "tell me". */
const personalities = [0, 8, 0x20000, 0x20008, 0xffffffff];

/** Old or dangerous calls that programs expect to be refused rather than to be missing. */
const refused =
  'bdflush io_pgetevents kexec_file_load kexec_load migrate_pages move_pages nfsservctl nice oldfstat oldlstat oldolduname oldstat olduname pciconfig_iobase pciconfig_read pciconfig_write sgetmask ssetmask swapcontext swapoff swapon sysfs uselib userfaultfd ustat vm86 vm86old vmsplice';

const allowed =
  '_llseek _newselect accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 clone clone3 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsconfig fsetxattr fsmount fsopen fspick fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_setup io_submit ioctl ioprio_get ioprio_set ipc keyctl kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise mbind membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mount mount_setattr move_mount mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open open_tree openat openat2 pause pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv reboot recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setns setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs syscall sysinfo syslog tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask umount umount2 uname unlink unlinkat unshare utime utimensat utimensat_time64 utimes vfork wait4 waitid waitpid write writev';

/** Calls allowed on one kind of machine only. */
const allowedOn: Readonly<Record<NativeArch, string>> = {
  x64: 'arch_prctl modify_ldt',
  arm64: 'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2',
};

/** Calls allowed to a process that may have the capability, refused with EPERM to others. */
const byCapability: Readonly<Record<string, string>> = {
  DAC_READ_SEARCH: 'open_by_handle_at',
  SYS_ADMIN: 'bpf fanotify_init lookup_dcookie perf_event_open quotactl setdomainname sethostname setns',
  SYS_CHROOT: 'chroot',
  SYS_MODULE: 'delete_module finit_module init_module query_module',
  SYS_PACCT: 'acct',
  SYS_PTRACE: 'kcmp process_madvise',
  SYS_RAWIO: 'ioperm iopl',
  SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  SYS_TTY_CONFIG: 'vhangup',
};

/** The capabilities that change the profile; the others do not matter to it. */
export const decisiveCapabilities: readonly string[] = [...Object.keys(byCapability), 'AUDIT_WRITE'].map(
  (name) => `CAP_${name}`,
);

/**
 * The default profile for a process with this bounding set (a bit mask): equal in effect to the one Debian's containers-common ships
 * (/usr/share/containers/seccomp.json, the same family as docker's), which `default-profile.test.ts` proves call by call. What it does not name answers ENOSYS.
 */
export function defaultProfile(capabilities: bigint, native: NativeArch): LinuxSeccomp {
  const has = (name: string): boolean => ((capabilities >> BigInt(capabilityBit(`CAP_${name}`) ?? 0)) & 1n) === 1n;
  const allow = (names: string): SeccompSyscall => ({ names: names.split(' '), action: 'SCMP_ACT_ALLOW' });
  const refuse = (names: string): SeccompSyscall => ({
    names: names.split(' '),
    action: 'SCMP_ACT_ERRNO',
    errnoRet: EPERM,
  });
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    architectures: archFamily(native),
    syscalls: [
      refuse(refused),
      allow(allowed),
      ...personalities.map((value): SeccompSyscall => ({
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [equals(0, value)],
      })),
      allow(allowedOn[native]),
      ...Object.entries(byCapability).map(([capability, names]) => (has(capability) ? allow(names) : refuse(names))),
      ...(has('AUDIT_WRITE') ? [allow('socket')] : withoutAudit()),
    ],
  };
}

/** Any socket but the kernel's audit one, which answers as if it were not there. */
function withoutAudit(): SeccompSyscall[] {
  const differs = (index: number, value: number): SeccompArg => ({ index, value, op: 'SCMP_CMP_NE' });
  return [
    {
      names: ['socket'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: EINVAL,
      args: [equals(0, AF_NETLINK), equals(2, NETLINK_AUDIT)],
    },
    { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [differs(2, NETLINK_AUDIT)] },
    { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [differs(0, AF_NETLINK)] },
  ];
}

function equals(index: number, value: number): SeccompArg {
  return { index, value, op: 'SCMP_CMP_EQ' };
}
