import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SANDBOX_SHM } from '../../runtime/default-paths.ts';
import { readLifeState } from '../../runtime/state.ts';
import type { Mount, Namespace, RuntimeConfig } from '../../spec/runtime-config.ts';
import type { Fd } from '../../sys/fd.ts';
import { cloneMountIn } from '../../sys/mount-namespace.ts';
import type { Engine } from '../engine.ts';
import { openInit } from '../init-process.ts';
import { openReadOnly } from '../open-read-only.ts';
import { reconcile } from '../reconcile.ts';
import { nameHere } from '../name-here.ts';
import { type ContainerRecord, containerDir, findRecord } from '../record.ts';
import type { OpenedMount } from '../volumes/open-mounts.ts';
import { holdMembers, memberIds } from './members.ts';
import { type PodMembership, type PodRecord, podDir, readPod, type SharedNamespace } from './pod.ts';
import { namespaceOf } from './shares.ts';

/** What a container that starts has of its pod. Until it is disposed nobody ends the pod's containers for its end. */
export interface JoinedPod extends Disposable {
  readonly warnings: readonly string[];
  /** Mounts that are shared. */
  readonly opened: readonly OpenedMount[];
  /** The configuration with the pod's namespaces and mounts in it. */
  inside(config: RuntimeConfig): RuntimeConfig;
}

/**
 * Opens what a container shares with its pod; a pod that does not run is started first. Errors: not-found; LaunchError of the pod's start.
 */
export async function joinPod(
  engine: Engine,
  container: ContainerRecord,
  { id, shares }: PodMembership,
): Promise<JoinedPod> {
  let warnings: readonly string[] = [];
  for (;;) {
    // Before the lock: this may end what is left of the pod's last run, under the same one.
    await reconcile(engine, id);
    const pod = readPod(engine, id);
    if (pod.sandbox.infra && !isRunning(engine, id)) warnings = await startSandbox(engine, id);
    using stack = new DisposableStack();
    stack.use(await holdMembers(engine, id, 'read'));
    if (!pod.sandbox.infra) {
      const { makePodCgroup } = await import('./pod-cgroup.ts');
      return { ...nothing, warnings: await makePodCgroup(engine, pod), ...kept(stack) };
    }
    using init = openInit(engine, id);
    if (init === undefined || !isRunning(engine, id)) continue;
    const open = (name: string): Fd => stack.use(openReadOnly(`/proc/${init.pid}/ns/${name}`, `join pod ${pod.name}`));
    const namespaces = joinedShares(shares, pod).map((share) => ({
      type: namespaceOf[share],
      path: `/proc/self/fd/${open(share).number}`,
    }));
    const opened: OpenedMount[] = [];
    if (shares.includes('ipc')) {
      using mounts = open('mnt');
      opened.push({ destination: SANDBOX_SHM, fd: stack.use(cloneMountIn(mounts, SANDBOX_SHM)), kind: 'directory' });
    }
    // The number may be another process's by now: what was opened is not, if ours still lives.
    using again = openInit(engine, id);
    if (again?.pid !== init.pid) continue;
    takeFiles(engine, pod, container.id);
    return {
      warnings,
      opened,
      inside: (config) => inside(config, namespaces, opened.length > 0),
      ...kept(stack),
    };
  }
}

const nothing = { opened: [], inside: (config: RuntimeConfig) => config };

function kept(stack: DisposableStack): Disposable {
  const all = stack.move();
  return { [Symbol.dispose]: () => all.dispose() };
}

/** Returns warnings. */
async function startSandbox(engine: Engine, pod: string): Promise<readonly string[]> {
  const { startAgain } = await import('../start-again.ts');
  return (await startAgain(engine, pod, { attach: false, stdin: false })).warnings;
}

function isRunning(engine: Engine, pod: string): boolean {
  const state = readLifeState(podDir(engine, pod));
  return state?.held === true && state.phase === 'running';
}

/** A container's configuration as it is in its pod, for who only looks at it. Errors: not-found. */
export function asInPod(engine: Engine, { id, shares }: PodMembership, config: RuntimeConfig): RuntimeConfig {
  const pod = readPod(engine, id);
  if (!pod.sandbox.infra) return config;
  const namespaces = joinedShares(shares, pod).map((share) => ({
    type: namespaceOf[share],
    path: `/proc/self/ns/${share}`,
  }));
  return inside(config, namespaces, shares.includes('ipc'));
}

/** The machine's network is nobody's to join. */
function joinedShares(shares: readonly SharedNamespace[], pod: PodRecord): readonly SharedNamespace[] {
  return shares.filter((share) => !(share === 'net' && pod.network === 'host'));
}

function inside(config: RuntimeConfig, joined: readonly Namespace[], sharesMemory: boolean): RuntimeConfig {
  const namespaces = config.linux?.namespaces?.map((one): Namespace => {
    return joined.find(({ type }) => type === one.type) ?? one;
  });
  const mounts = config.mounts?.map((mount): Mount =>
    sharesMemory && mount.destination === SANDBOX_SHM && mount.type === 'tmpfs'
      ? { ...mount, type: 'bind', source: SANDBOX_SHM, options: ['bind', 'nosuid', 'noexec', 'nodev'] }
      : mount,
  );
  return {
    ...config,
    ...(mounts === undefined ? {} : { mounts }),
    linux: { ...config.linux, ...(namespaces === undefined ? {} : { namespaces }) },
  };
}

/** The files about names are mounted already: what is in them is copied. Containers that share a network know each other's names. */
function takeFiles(engine: Engine, { id, sandbox: { shares } }: PodRecord, container: string): void {
  const names = [
    ...(shares.includes('net') ? ['hosts', 'resolv.conf'] : []),
    ...(shares.includes('uts') ? ['hostname'] : []),
  ];
  for (const name of names) {
    let text = '';
    try {
      text = readFileSync(join(podDir(engine, id), name), 'utf8');
    } catch {
      // It has none: loopback needs no nameserver.
    }
    writeFileSync(join(containerDir(engine, container), name), text);
  }
  if (!shares.includes('net')) return;
  const hosts = (one: string): string => join(containerDir(engine, one), 'hosts');
  const members = memberIds(engine, id).flatMap((one) => findRecord(engine, one) ?? []);
  nameHere(
    [hosts(container)],
    members.map(({ name }) => name),
  );
  const own = members.filter((one) => one.id === container).map(({ name }) => name);
  nameHere(
    members.filter((one) => one.id !== container).map((one) => hosts(one.id)),
    own,
  );
}
