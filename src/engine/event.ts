/** What an event is about. */
export type EventType = 'container' | 'image' | 'volume' | 'network' | 'pod' | 'system';

/** Docker's words for what happens, and podman's where docker has none. */
export type ContainerAction =
  | 'create'
  | 'init'
  | 'start'
  | 'attach'
  | 'exec_create'
  | 'exec_start'
  | 'exec_die'
  | 'health_status'
  | 'oom'
  | 'kill'
  | 'die'
  | 'stop'
  | 'restart'
  | 'pause'
  | 'unpause'
  | 'rename'
  | 'update'
  | 'commit'
  | 'export'
  | 'copy'
  | 'checkpoint'
  | 'restore'
  | 'destroy'
  | 'prune'
  | 'deny';
export type ImageAction = 'pull' | 'push' | 'tag' | 'untag' | 'remove' | 'import' | 'load' | 'save' | 'build' | 'prune';

/** Something that happened. */
export interface TareEvent {
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly type: EventType;
  readonly action: string;
  /** Of the container, image or other object. */
  readonly id: string;
  /** Its name; an image's is the one that was used. */
  readonly name: string;
  /** A container's image, as its creator wrote it. */
  readonly image?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `exitCode` of die and exec_die, `signal` of kill, `status` of health_status, `oldName` of rename, `execID` ... */
  readonly attributes: Readonly<Record<string, string>>;
}

/** An event that is being told; its time is now unless stated. */
export type NewEvent =
  | (Emitted & { readonly type: 'container'; readonly action: ContainerAction })
  | (Emitted & { readonly type: 'image'; readonly action: ImageAction })
  | (Emitted & { readonly type: 'volume' | 'network' | 'pod' | 'system'; readonly action: string });

interface Emitted {
  readonly id: string;
  readonly name: string;
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly attributes?: Readonly<Record<string, string>>;
}
