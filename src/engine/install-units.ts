import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { writeDurably } from '../base/durable-files.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { keepsRunRoot } from './rootless.ts';

/** The unit that starts containers at boot. */
export const restartUnitName = 'tare-restart.service';

/** A unit that was installed. */
export interface InstalledUnit {
  /** The unit's file. */
  readonly path: string;
  /** The user's services begin at boot only when the user lingers, and this one does not. */
  readonly needsLinger: boolean;
}

/**
 * Writes the unit that at boot starts the containers whose restart policy says so, and enables it, as systemd's own files: that also works where systemd does
 * not run, in an image that is being made. Idempotent; killed in between, it is done by the next call.
 *
 * `user`: for the user's systemd. Errors: failed-precondition for a system's unit by an unprivileged user and the other way round; denied, by errno.
 */
export function installUnits(engine: Engine, how: { readonly user: boolean }): InstalledUnit {
  const { rootless } = engine;
  if (how.user !== (rootless !== undefined)) {
    throw new TareError(
      'failed-precondition',
      how.user
        ? "Cannot install a user's units: this is root, whose containers belong to the system; leave out --user"
        : "Cannot install the system's units: you are not root, and your containers are not the system's; use --user",
    );
  }
  const dir = rootless === undefined ? '/etc/systemd/system' : join(rootless.configHome, 'systemd/user');
  const path = join(dir, restartUnitName);
  const target = restartTarget(engine);
  const wants = join(dir, `${target}.wants`, restartUnitName);
  try {
    mkdirSync(dirname(wants), { recursive: true });
    writeDurably(path, restartUnit(engine, target), { mode: 0o644 });
    link(`../${restartUnitName}`, wants);
  } catch (error) {
    throw fileError(error, 'install the unit');
  }
  return { path, needsLinger: rootless !== undefined && !keepsRunRoot(rootless) };
}

/** What pulls the unit in: the system's or the user's usual state. */
export function restartTarget(engine: Pick<Engine, 'rootless'>): string {
  return engine.rootless === undefined ? 'multi-user.target' : 'default.target';
}

/** The text of the unit, which calls this engine's command line with its places. Pure. */
export function restartUnit(engine: Pick<Engine, 'self' | 'root' | 'storageRoot'>, target: string): string {
  const start = ['start', '--all', '--filter=restart-policy=always', '--filter=restart-policy=unless-stopped'];
  const system = target === 'multi-user.target';
  return `# Written by tare system install-units.
[Unit]
Description=Start the containers whose restart policy says so
${system ? 'Wants=network-online.target\nAfter=local-fs.target remote-fs.target network-online.target\n' : ''}RequiresMountsFor=${[engine.root, engine.storageRoot].map((path) => quoted(path)).join(' ')}
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# Only the command itself: containers and their monitors are none of this unit's.
KillMode=process
TimeoutStartSec=infinity
ExecStart=${[...engine.self, ...start].map((word) => quoted(word).replaceAll('$', '$$$$')).join(' ')}

[Install]
WantedBy=${target}
`;
}

/** A word as systemd.syntax(7) reads it, with specifiers taken literally. Errors: invalid for a line break. */
function quoted(word: string): string {
  if (/[\n\r]/.test(word))
    throw new TareError('invalid', `Cannot name ${JSON.stringify(word)} in a unit: it contains a line break`);
  const literal = word.replaceAll('%', '%%');
  return /[\s"'\\;]/.test(word) ? `"${literal.replaceAll(/["\\]/g, '\\$&')}"` : literal;
}

/** A symbolic link that is there whole, whatever was in its place. */
function link(target: string, path: string): void {
  try {
    if (readlinkSync(path) === target) return;
  } catch {
    // Absent, or no link.
  }
  const partial = `${path}.tmp-${process.pid}`;
  rmSync(partial, { force: true });
  symlinkSync(target, partial);
  renameSync(partial, path);
}
