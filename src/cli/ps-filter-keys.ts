/** Keys of `ps --filter`. */
export const psFilterKeys = [
  'id',
  'name',
  'status',
  'label',
  'label!',
  'ancestor',
  'before',
  'since',
  'until',
  'exited',
  'health',
  'restart-policy',
  'network',
  'volume',
  'pod',
] as const;

/** Values of `--filter status=`. */
export const psStates = [
  'created',
  'initialized',
  'running',
  'paused',
  'restarting',
  'removing',
  'exited',
  'dead',
] as const;
/** Values of `--filter health=`. */
export const psHealths = ['none', 'starting', 'healthy', 'unhealthy'] as const;

/** Values of `--filter restart-policy=`. */
export const psRestartPolicies = ['no', 'on-failure', 'always', 'unless-stopped'] as const;

/** What completion offers for `ps --filter`. */
export const psFilterOffers: readonly string[] = [
  ...psFilterKeys.map((key) => `${key}=`),
  ...psStates.map((state) => `status=${state}`),
  ...psHealths.map((health) => `health=${health}`),
  ...psRestartPolicies.map((policy) => `restart-policy=${policy}`),
  'network=none',
  'network=host',
];
