import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Contender } from '../case.ts';
import { disksAtRest } from '../disk.ts';
import type { Lab } from '../lab.ts';
import { startRegistry } from '../registry.ts';

interface Engine {
  readonly name: string;
  pull(lab: Lab, reference: string): readonly string[];
  push(lab: Lab, reference: string, destination: string): readonly string[];
}

const tare: Engine = {
  name: 'tare push',
  pull: (lab, reference) => [...lab.tare('push-t'), 'pull', '-q', reference],
  push: (lab, reference, destination) => [...lab.tare('push-t'), 'push', '-q', reference, destination],
};

const podman: Engine = {
  name: 'podman push',
  pull: (lab, reference) => [...lab.podman('push-p'), 'pull', '-q', '--tls-verify=false', reference],
  push: (lab, reference, destination) => [
    ...lab.podman('push-p'),
    'push',
    '-q',
    '--tls-verify=false',
    reference,
    destination,
  ],
};

/** Pushes the pulled large image to a registry of its own, which is empty before each sample unless `again`. */
function pushing(engine: Engine, again: boolean): Contender {
  return {
    name: engine.name,
    subject: engine === tare,
    async prepare(lab, stack) {
      const { reference } = await lab.largeImage();
      await lab.run(engine.pull(lab, reference));
      const folder = `${engine.name.replace(' ', '-')}${again ? '-again' : ''}`;
      const domain = await startRegistry(lab, stack, folder);
      const argv = engine.push(lab, reference, `${domain}/pushed:1`);
      if (again) await lab.run(argv);
      return async () => {
        if (!again) {
          // docker-registry looks at its folder each time: what is deleted is gone.
          rmSync(join(lab.dir, `registry-${folder}`, 'docker'), { recursive: true, force: true });
          await disksAtRest(lab);
        }
        return lab.timer.milliseconds(argv);
      };
    },
  };
}

/** To a registry that has nothing of it. */
export const push: Case = {
  name: 'push',
  title: 'push of the pulled large image to an empty local registry',
  unit: 'ms',
  share: 0.1,
  contenders: [tare, podman].map((engine) => pushing(engine, false)),
  goals: [
    {
      text: 'tare push ≤ 0.70 × podman push',
      holds: (median) => ({ value: median('tare push'), limit: 0.7 * median('podman push') }),
    },
  ],
};

/** To a registry that has all of it. */
export const pushAgain: Case = {
  name: 'push-again',
  title: 'the same push once more, to the registry that has it all',
  unit: 'ms',
  share: 0.3,
  contenders: [tare, podman].map((engine) => pushing(engine, true)),
  goals: [{ text: 'tare push ≤ 150 ms', holds: (median) => ({ value: median('tare push'), limit: 150 }) }],
};
