import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The machines there is a package for, by Node's name. */
export const architectures = ['arm64', 'x64'] as const;
export type Architecture = (typeof architectures)[number];

/** The package that holds what is built for a machine. */
export function nativePackage(arch: Architecture): string {
  return `@tare/linux-${arch}`;
}

/** The package of others that has Node for a machine; ours is `@tare/` and the same. */
export function nodePackage(arch: Architecture): string {
  return `node-linux-${arch}`;
}

/** What package.json of the checkout says about the packages made of it. */
export interface Manifest {
  /** What every package says. The version is one for all. */
  readonly shared: { readonly version: string; readonly license: string };
  readonly description: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  /** The pinned Node of each machine. */
  readonly nodes: Readonly<Record<string, string>>;
}

/** Reads it. */
export function readManifest(root: string): Manifest {
  const json = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Omit<Manifest, 'shared' | 'nodes'> &
    Manifest['shared'] & { readonly optionalDependencies: Manifest['nodes'] };
  return {
    shared: { version: json.version, license: json.license },
    description: json.description,
    exports: json.exports,
    engines: json.engines,
    dependencies: json.dependencies,
    nodes: json.optionalDependencies,
  };
}
