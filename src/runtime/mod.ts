/**
 * The OCI runtime: an OCI `config.json` becomes a Plan, a cgroup, a seccomp filter, and a supervised process.
 *
 * A container is a directory with a phase and a life lock (state.ts). `compile` decides everything as a pure function, `createCgroup` makes the cgroup,
 * `launch` opens what the Plan names and starts a monitor, which outlives us. Reading order: state.ts, default-config.ts, compile/, cgroup/, seccomp/, launch.ts.
 */
export * from './cgroup/mod.ts';
export * from './compile/mod.ts';
export * from './seccomp/mod.ts';
export { defaultConfig, type DefaultConfigInput } from './default-config.ts';
export { launch, openPlan, type OpenedPlan, type PlanResources } from './launch.ts';
export {
  changePhase,
  createStateDir,
  readExit,
  readLifeState,
  readPhase,
  readPid,
  readStartedAt,
  takeLife,
  writeExit,
  type ExitRecord,
  type LifeState,
  type Phase,
} from './state.ts';
