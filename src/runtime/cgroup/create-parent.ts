import { mkdirSync } from 'node:fs';
import { TareError } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { errnoAdvice } from './_errno-advice.ts';
import { codeOf, kernelWords, readKernelFile, writeKernelFile } from './files.ts';
import type { CgroupHost } from './host.ts';
import { planCgroup } from './plan-cgroup.ts';
import type { CgroupWrite } from './plan.ts';

const noAccess: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOENT']);
/** Device rules are of each cgroup below. */
const devices = [{ allow: true, access: 'rwm' }] as const;

/**
 * Makes a cgroup that has no processes of its own but cgroups below it, with limits for all of them together; one that is there gets the limits again. Killed half-way, the next call
 * does the rest. Returns warnings.
 *
 * Errors: denied, invalid and so on for a limit the kernel refuses, by its errno.
 */
export function createParentCgroup(
  host: CgroupHost,
  { cgroupPath, resources }: { readonly cgroupPath: string; readonly resources: LinuxResources },
): readonly string[] {
  const own = planCgroup(host, { cgroupPath, resources, devices });
  // What any cgroup below needs of those above it.
  const below = planCgroup(host, { cgroupPath: `${cgroupPath}/any`, resources: {}, devices });
  const warnings = [...own.warnings];
  for (const dir of below.parents) {
    try {
      mkdirSync(`${own.root}/${dir}`);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' && !noAccess.has(codeOf(error))) throw error;
    }
  }
  for (const write of below.parentWrites) {
    try {
      if (write.copyOf === undefined || readKernelFile(`${own.root}/${write.file}`) === '') writeOne(own.root, write);
    } catch {
      // Where it matters, the cgroups below say so.
    }
  }
  for (const write of own.writes) {
    // Inherited already.
    if (write.copyOf !== undefined) continue;
    try {
      writeOne(own.root, write);
    } catch (error) {
      if (write.optional) warnings.push(`The ${write.purpose} is not enforced: ${kernelWords(error)}`);
      else throw refused(error, write, own.root);
    }
  }
  return warnings;
}

function writeOne(root: string, write: CgroupWrite): void {
  const value = write.copyOf === undefined ? write.value : (readKernelFile(`${root}/${write.copyOf}`) ?? '');
  try {
    writeKernelFile(`${root}/${write.file}`, value);
  } catch (error) {
    if (write.orElse === undefined || codeOf(error) !== 'ENOENT') throw error;
    writeKernelFile(`${root}/${write.orElse.file}`, write.orElse.value);
  }
}

function refused(error: unknown, write: CgroupWrite, root: string): TareError {
  const [kind, advice] = errnoAdvice[codeOf(error)] ?? (['internal', ''] as const);
  return new TareError(
    kind,
    `Cannot set the ${write.purpose} to ${write.value}: ${kernelWords(error)} (${root}/${write.file})${advice && `; ${advice}`}`,
    { cause: error },
  );
}
