import { dropUndefined } from '../../base/defined.ts';
import type { CreatePodOptions } from '../../engine/pods/create-pod.ts';
import { createPod } from '../../engine/pods/create-pod.ts';
import type { Context } from '../context.ts';
import { createFlags } from '../create-flags.ts';
import { labelsOf } from '../create-options.ts';
import type { FlagTable, FlagValues } from '../flag-table.ts';
import { idFile } from '../id-file.ts';
import { limitFlags, limitsGiven } from '../limit-flags.ts';
import { restartOf } from '../supervise-flags.ts';
import { UsageError } from '../usage-error.ts';
import { keyValue } from '../values.ts';
import { defineVerb } from '../verb.ts';
import { parseVolumeFlag } from '../volume-flag.ts';

/** Podman's flags about a container that we do not need. */
const infraFlags = {
  'infra-image': { type: 'text', value: 'IMAGE', help: 'Refused: what a pod shares is held without an image' },
  'infra-command': { type: 'text', value: 'COMMAND', help: 'Refused: what a pod shares is held without a program' },
  'infra-name': { type: 'text', value: 'NAME', help: "Refused: what a pod shares has the pod's name" },
  'infra-conmon-pidfile': { type: 'text', value: 'FILE', help: 'Refused: there is no conmon' },
} as const satisfies FlagTable;

const { network, ip, ip6, publish, dns, label, sysctl } = createFlags;

const flags = {
  name: {
    type: 'text',
    short: 'n',
    help: 'Name of the pod (default: a generated one); pods and containers share names',
  },
  hostname: { type: 'text', help: 'Host name of its containers (default: its name)' },
  share: {
    type: 'text',
    value: 'NAMESPACES',
    standard: 'ipc,net,uts',
    help: 'What its containers have in common: some of cgroup, ipc, net, pid and uts; none; +pid: besides the default',
  },
  infra: { type: 'switch', help: 'False: nothing is shared, and nothing is held for it' },
  'share-parent': { type: 'switch', help: "False: its containers' cgroups are not in one of the pod's" },
  'exit-policy': {
    type: 'text',
    choices: ['continue', 'stop'],
    standard: 'continue',
    help: 'What it does when the last of its containers has ended',
  },
  restart: {
    type: 'text',
    value: 'POLICY',
    help: 'When its containers start again, where they say nothing themselves: no, on-failure[:N], always, unless-stopped',
  },
  network,
  ip,
  ip6,
  'mac-address': createFlags['mac-address'],
  'network-alias': createFlags['network-alias'],
  publish,
  dns,
  'dns-search': createFlags['dns-search'],
  'dns-option': { ...createFlags['dns-option'], alias: 'dns-opt' },
  'add-host': createFlags['add-host'],
  ...limitFlags,
  'shm-size': createFlags['shm-size'],
  volume: {
    ...createFlags.volume,
    help: 'Mount this in each of its containers, where they mount nothing else; as -v of run',
  },
  sysctl,
  label,
  'label-file': createFlags['label-file'],
  'pod-id-file': { type: 'text', value: 'FILE', help: 'Write the id to a new file' },
  replace: { type: 'switch', help: 'Remove a pod that has the name first, with all its containers' },
  ...infraFlags,
} as const satisfies FlagTable;

/** `tare pod create`: prints the id. */
export const verb = defineVerb({
  usage: '[OPTIONS] [NAME]',
  flags,
  args: { min: 0, max: 1 },
  errorCode: 125,
  examples: [
    ['pod create --name web -p 8080:80 -m 1g', 'A pod with a port and a limit for all its containers together'],
    ['pod create --share +pid --exit-policy stop job', 'Containers that see each other; it ends with the last of them'],
  ],
  async run(context, values, [given]) {
    const options = podOptions(context, values, given);
    using ids = idFile('--pod-id-file', values['pod-id-file'], context.cwd);
    const { id, warnings } = await createPod(context.engine, options);
    ids.write(id);
    context.warn(warnings);
    context.print(`${id}\n`);
    return 0;
  },
});

function podOptions(context: Context, values: FlagValues<typeof flags>, given: string | undefined): CreatePodOptions {
  for (const [flag, { help }] of Object.entries(infraFlags))
    if (values[flag as keyof typeof infraFlags] !== undefined)
      throw new UsageError(`Cannot use --${flag}: ${help.replace('Refused: ', '')}`);
  if (given !== undefined && values.name !== undefined && given !== values.name)
    throw new UsageError('Cannot use --name together with a name at the end');
  if (values.replace === true && (values.name ?? given) === undefined)
    throw new UsageError('Cannot use --replace without a name');
  for (const text of values.sysctl) keyValue('--sysctl', text);
  const labels = labelsOf(values, context.cwd);
  const resources = limitsGiven(values);
  const list = <T>(all: readonly T[]): readonly T[] | undefined => (all.length === 0 ? undefined : all);
  return dropUndefined({
    name: values.name ?? given,
    hostname: values.hostname,
    share: values.share,
    infra: values.infra,
    shareParent: values['share-parent'],
    exitPolicy: values['exit-policy'] as CreatePodOptions['exitPolicy'],
    restart: restartOf(values.restart),
    network: values.network.length === 1 ? values.network[0] : list(values.network),
    ip: values.ip,
    ip6: values.ip6,
    macAddress: values['mac-address'],
    networkAliases: list(values['network-alias']),
    publish: list(values.publish),
    dns: list(values.dns),
    dnsSearch: list(values['dns-search']),
    dnsOptions: list(values['dns-option']),
    addHosts: list(values['add-host']),
    labels: Object.keys(labels).length === 0 ? undefined : labels,
    resources: Object.keys(resources).length === 0 ? undefined : resources,
    shmSizeBytes: values['shm-size'],
    mounts: list(values.volume.map((text) => parseVolumeFlag(text, context.cwd))),
    sysctls: list(values.sysctl),
    replace: values.replace,
  });
}
