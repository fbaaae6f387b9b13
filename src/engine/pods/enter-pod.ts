import { TareError } from '../../base/errors.ts';
import { dropUndefined } from '../../base/defined.ts';
import { readLifeState } from '../../runtime/state.ts';
import type { RuntimeConfig } from '../../spec/runtime-config.ts';
import { asksForNamespace } from '../asks-for-namespace.ts';
import { asksForNames, asksForNetwork } from '../create.ts';
import type { CreateOptions } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import type { NetworkRequest } from '../network-request.ts';
import type { RecordedNetwork } from '../record.ts';
import { reconcile } from '../reconcile.ts';
import { addMember, holdMembers } from './members.ts';
import { memberCgroupPath } from './pod-cgroup.ts';
import { type PodMembership, type PodRecord, podDir, readPod, resolvePod } from './pod.ts';

/** A pod in which a container is being made. Until it is disposed nobody removes the pod. */
export interface EnteredPod extends Disposable {
  readonly membership: PodMembership;
  /** What was asked for, with what the pod says. */
  readonly options: CreateOptions;
  /** The pod's network, where it is shared: as a request, and as the record has it. */
  readonly network: NetworkRequest | undefined;
  readonly net: RecordedNetwork | undefined;
  /** Notes a container whose directory is there. */
  add(id: string): void;
  /** Where its cgroup is, when `own` is where it would be otherwise. */
  cgroupPath(own: string, id: string): string;
  /** Its configuration: what is shared is not its own to set. */
  config(config: RuntimeConfig): RuntimeConfig;
}

/** Reads the options of a container that is to be in a pod. `owned`: it goes with its owner, and does not start again. Errors: not-found; invalid for what only the pod can have. */
export async function enterPod(engine: Engine, asked: CreateOptions, owned: boolean): Promise<EnteredPod> {
  const id = resolvePod(engine, asked.pod ?? '');
  await reconcile(engine, id);
  const lock = await holdMembers(engine, id, 'read');
  try {
    const phase = readLifeState(podDir(engine, id))?.phase;
    if (phase === undefined || phase === 'creating' || phase === 'removing')
      throw new TareError('not-found', `Cannot use pod ${asked.pod}: it is being made, or removed`);
    const pod = readPod(engine, id);
    const { shares } = pod.sandbox;
    refuseShared(asked, pod);
    const sharesNet = shares.includes('net');
    const net = sharesNet && pod.network !== 'host' ? { join: [], ports: [], of: id } : undefined;
    const { initContainer: init } = asked;
    return {
      membership: {
        id,
        name: pod.name,
        shares,
        ...(pod.sandbox.cgroupPath === undefined ? {} : { cgroupPath: pod.sandbox.cgroupPath }),
        ...(pod.sandbox.exitPolicy === 'stop' && init === undefined ? { stops: true } : {}),
        ...(init === undefined ? {} : { init }),
      },
      options: dropUndefined({
        ...asked,
        mounts: mountsOf(pod, asked),
        network: sharesNet && pod.network === 'host' ? 'host' : asked.network,
        hostname: shares.includes('uts') ? (pod.sandbox.created.hostname ?? pod.name) : asked.hostname,
        restart:
          asked.restart ??
          (owned || asked.autoRemove === true || init !== undefined ? undefined : pod.sandbox.created.restart),
      }),
      network: net && { mode: 'container', publish: [], publishAll: false, join: net.join, of: id },
      net,
      add: (container) => addMember(engine, id, container),
      cgroupPath: (own, container) =>
        pod.sandbox.cgroupPath === undefined ? own : memberCgroupPath(pod.sandbox.cgroupPath, pod.id, container),
      config: ({ hostname, ...rest }) =>
        shares.includes('uts') || hostname === undefined ? rest : { ...rest, hostname },
      [Symbol.dispose]: () => lock.close(),
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Its own come before the pod's. */
function mountsOf({ sandbox }: PodRecord, { mounts = [] }: CreateOptions): CreateOptions['mounts'] | undefined {
  const taken = new Set(mounts.map(({ destination }) => destination));
  const all = [...(sandbox.created.mounts ?? []).filter(({ destination }) => !taken.has(destination)), ...mounts];
  return all.length === 0 ? undefined : all;
}

function refuseShared(asked: CreateOptions, { name, sandbox: { shares } }: PodRecord): void {
  const refuse = (isAsked: boolean, what: string, why: string): void => {
    if (isAsked) throw new TareError('invalid', `Cannot use ${what} in pod ${name}: ${why}`);
  };
  if (shares.includes('net'))
    refuse(
      asksForNetwork(asked) || asked.network !== undefined || asksForNames(asked),
      '--network, --publish, --ip, --dns, --add-host and the like',
      'its containers share one network; give it to tare pod create',
    );
  if (shares.includes('uts'))
    refuse(asked.hostname !== undefined, '--hostname', 'its containers share one name; give it to tare pod create');
  if (shares.includes('ipc'))
    refuse(
      asked.shmSizeBytes !== undefined,
      '--shm-size',
      'its containers share one /dev/shm; give it to tare pod create',
    );
  refuse(
    asksForNamespace(asked),
    '--userns and the like',
    'what its containers share belongs to the user namespace of whoever made it',
  );
  refuse(asked.source.startsWith('bundle:'), '--bundle', 'its config.json says which namespaces it has');
  refuse(
    asked.initContainer !== undefined && asked.restart !== undefined && asked.restart.policy !== 'no',
    '--init-ctr with --restart',
    'it runs to its end before the others start',
  );
}
