/** Versions of the CNI specification that are spoken here, oldest first. */
export const CNI_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

/** What a configuration without `cniVersion` has (specification 0.1.0). */
export const FIRST_VERSION: CniVersion = '0.1.0';

export const isCniVersion = (text: string): text is CniVersion => (CNI_VERSIONS as readonly string[]).includes(text);

/** Whether a version has what came with `since`. */
export function isAtLeast(version: CniVersion, since: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(since);
}

/** Newest first, each once. */
export function newestFirst(versions: readonly CniVersion[]): CniVersion[] {
  return CNI_VERSIONS.filter((version) => versions.includes(version)).reverse();
}
