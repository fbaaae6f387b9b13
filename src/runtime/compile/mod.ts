/**
 * From an OCI `config.json` to the Plan the helper executes: a pure function, where every decision about a container's making is taken.
 *
 * Reading order: compile (the order of steps), compile-exec, session-steps, namespaces, mounts (with mount-options, cgroup-mount, devices), process, hooks, describe.
 */
export { compile } from './compile.ts';
export { compileExec } from './compile-exec.ts';
export { describeStep } from './describe.ts';
export { SECCOMP_ANNOTATION, boundingMask, execCandidates, seccompOf } from './process.ts';
export type {
  CompileExecOptions,
  CompileFeatures,
  CompileOptions,
  CompiledPlan,
  ContainerCgroup,
  ExecTarget,
  FdSource,
  HealthSettings,
  MonitorSettings,
  RestartSettings,
  SeccompCompiler,
  StdioMode,
} from './types.ts';
