import type { RepositoryPath } from '../spec/mod.ts';

/** What a token is asked for (distribution's token scope: `repository:NAME:ACTIONS`). */
export interface Scope {
  readonly repository: RepositoryPath;
  readonly actions: 'pull' | 'pull,push' | 'pull,push,delete';
}

export function formatScope({ repository, actions }: Scope): string {
  return `repository:${repository}:${actions}`;
}
