import type { Lab } from '../lab.ts';

/** One way to start containers from a command line, the same for every case. */
export interface EngineCommands {
  readonly name: string;
  /** `ENGINE run FLAGS… SOURCE`, to be followed by the program. Errors: Missing. */
  run(lab: Lab, ...flags: readonly string[]): Promise<readonly string[]>;
  /** `ENGINE`, to be followed by a verb. Errors: Missing. */
  engine(lab: Lab): Promise<readonly string[]>;
}

/** `tare` on `host:DIR`: a throw-away overlay on a folder. */
export const tareHost: EngineCommands = {
  name: 'tare host:',
  engine: async (lab) => lab.tare(),
  run: async (lab, ...flags) => [...lab.tare(), 'run', ...flags, '--network', 'none', `host:${lab.rootfs}`],
};

/** `tare` on an image. */
export const tareImage: EngineCommands = {
  name: 'tare image',
  engine: async (lab) => lab.tare(),
  run: async (lab, ...flags) => [...lab.tare(), 'run', ...flags, '--network', 'none', await lab.tareImage()],
};

/** The same in a network; a later `--network` is one more for Tare, so it is another command. */
export const tareBridge: EngineCommands = {
  ...tareImage,
  name: 'tare bridge',
  run: async (lab, ...flags) => [...lab.tare(), 'run', ...flags, '--network', 'bridge', await lab.tareImage()],
};

/** `podman` on a folder, with its throw-away overlay. */
export const podmanRootfs: EngineCommands = {
  name: 'podman rootfs:O',
  engine: async (lab) => lab.podman(),
  run: async (lab, ...flags) => [...lab.podmanRun(...flags), '--rootfs', `${lab.rootfs}:O`],
};

/** `podman` on an image. */
export const podmanImage: EngineCommands = {
  name: 'podman image',
  engine: async (lab) => lab.podman(),
  run: async (lab, ...flags) => [...lab.podmanRun(...flags), await lab.podmanImage()],
};

/** The same in podman's default network. */
export const podmanBridge: EngineCommands = {
  ...podmanImage,
  name: 'podman bridge',
  run: async (lab, ...flags) => {
    const cgroup = ['--cgroup-parent', lab.cgroupParent];
    return [...lab.podman(), 'run', ...flags, '--network', 'bridge', ...cgroup, await lab.podmanImage()];
  },
};

/** `docker` on an image: it knows nothing else. */
export const dockerImage: EngineCommands = {
  name: 'docker image',
  engine: async (lab) => (await lab.docker()).command,
  run: async (lab, ...flags) => {
    const { command, image } = await lab.docker();
    return [...command, 'run', ...flags, '--network', 'none', image];
  },
};

/**
 * Starts a container that sleeps and gives its name; `stack` removes it.
 * Errors: Missing, or what the engine said.
 */
export async function startSleeping(
  lab: Lab,
  stack: AsyncDisposableStack,
  commands: EngineCommands,
  role: string,
): Promise<string> {
  const name = lab.name(`${commands.name.replace(/\W+/g, '-')}-${role}`);
  const [command, engine] = [
    await commands.run(lab, '-d', '--name', name, '--stop-timeout', '0'),
    await commands.engine(lab),
  ];
  stack.defer(async () => {
    // Best effort: the end of the bench's pid namespace ends it anyway.
    await lab.run([...engine, 'rm', '-f', name]).catch(() => undefined);
  });
  await lab.run([...command, 'sleep', '100000']);
  return name;
}
