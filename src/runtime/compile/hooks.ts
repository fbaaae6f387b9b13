import type { Hook, RuntimeConfig } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import type { Draft } from './draft.ts';

/** Stages of the `hook` op: the monitor runs them in the runtime's namespaces. */
const STAGE_CREATE_RUNTIME = 1;
const STAGE_POSTSTART = 2;
const STAGE_POSTSTOP = 3;

/** Who the container is, as hooks are told. */
export interface HookIdentity {
  readonly id: string;
  readonly bundle: string;
}

type Status = 'creating' | 'created' | 'running' | 'stopped';

/** The container's state (runtime.md "State"); the pid is put in by whoever runs the hook. */
function stateText(config: RuntimeConfig, identity: HookIdentity, status: Status): string {
  const annotations = config.annotations === undefined ? {} : { annotations: config.annotations };
  return JSON.stringify({
    ociVersion: config.ociVersion,
    id: identity.id,
    status,
    pid: 0,
    bundle: identity.bundle,
    ...annotations,
  });
}

function fields(
  hook: Hook,
  state: string,
): { path: string; argv: readonly string[]; env: readonly string[]; timeoutMs: number; state: string } {
  return {
    path: hook.path,
    argv: hook.args ?? [hook.path],
    env: hook.env ?? [],
    timeoutMs: (hook.timeout ?? 0) * 1000,
    state,
  };
}

/** Hooks the monitor runs: prestart and createRuntime, poststart, poststop. */
export function compileMonitorHooks(draft: Draft, config: RuntimeConfig, identity: HookIdentity): void {
  const stage = (number: number, hooks: readonly Hook[] | undefined, status: Status): void => {
    if (hooks === undefined || hooks.length === 0) return;
    const state = stateText(config, identity, status);
    for (const hook of hooks) draft.add({ op: 'hook', stage: number, ...fields(hook, state) });
  };
  stage(STAGE_CREATE_RUNTIME, config.hooks?.prestart, 'creating');
  stage(STAGE_CREATE_RUNTIME, config.hooks?.createRuntime, 'creating');
  stage(STAGE_POSTSTART, config.hooks?.poststart, 'running');
  stage(STAGE_POSTSTOP, config.hooks?.poststop, 'stopped');
}

/** After the mounts and before pivot_root: the barrier for createRuntime hooks, then createContainer hooks in the container's namespaces. */
export function compileCreateHooks(draft: Draft, config: RuntimeConfig, identity: HookIdentity): void {
  const { prestart = [], createRuntime = [], createContainer = [] } = config.hooks ?? {};
  if (prestart.length + createRuntime.length > 0)
    draft.add({ op: 'barrier', kind: planConstants.BARRIER_RUNTIME_HOOKS });
  if (createContainer.length === 0) return;
  const state = stateText(config, identity, 'creating');
  for (const hook of createContainer) draft.add({ op: 'hookHere', ...fields(hook, state) });
}

/** After start and before execve, with the container process's own privileges: the programs are the image's. */
export function compileStartHooks(draft: Draft, config: RuntimeConfig, identity: HookIdentity): void {
  const hooks = config.hooks?.startContainer ?? [];
  if (hooks.length === 0) return;
  const state = stateText(config, identity, 'created');
  for (const hook of hooks) draft.add({ op: 'hookHere', ...fields(hook, state) });
}
