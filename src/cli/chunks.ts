/**
 * Loads a bundle of the command line (dist/bin/NAME/*.cjs, each as `asChunk` makes it) with V8's code cache of a run that has happened.
 *
 * Node's own compile cache holds what is compiled when a file is loaded: each function is then parsed and compiled again when it is first called, which was a
 * third of a start. A cache that is taken after a run has those functions, too (docs/decisions/0007-code-cache.md). This file is bundled by itself: it may import types only.
 */
const { readFileSync } = process.getBuiltinModule('node:fs');
const { Script } = process.getBuiltinModule('node:vm');

type ScriptOf = InstanceType<typeof Script>;
type Body = (exports: object, require: (id: string) => unknown, dirname: string) => void;

/** Verbs with a bundle and a code cache of their own: all that the verb needs is in one file, and nothing that only another verb uses. */
export const hotVerbs: readonly string[] = ['run', 'exec', 'ps'];

/** Each bundle holds the whole command line. */
export const bundleNames: readonly string[] = [...hotVerbs, 'all'];

/** The bundle for a command line. A wrong guess only costs time. */
export function bundleFor(argv: readonly string[]): string {
  const verb = argv.find((word) => hotVerbs.includes(word));
  return verb ?? 'all';
}

/**
 * Whether a file's name says its contents. V8 checks of a cache that it is for a source of the same length: with a name that stays, the cache of an older build would be run
 * in place of the file.
 */
export function isCacheable(name: string): boolean {
  return /-[\w-]{8}\.cjs$/.test(name);
}

/** What the build writes for the text of a CommonJS file: a function of what it uses, so that what is on the disk is what V8 is given. */
export function asChunk(text: string): string {
  return `(function(exports,require,__dirname){${text}\n})`;
}

/** How files are read. */
export interface Files {
  /** ASCII only. */
  text(path: string): string;
  /** Undefined when there is none. */
  bytes(path: string): Buffer | undefined;
}

/** Copies, made by Node. */
export const copiedFiles: Files = {
  text: (path) => readFileSync(path, 'latin1'),
  bytes(path) {
    try {
      return readFileSync(path);
    } catch {
      return undefined;
    }
  },
};

/** One file of the bundle, loaded. */
export interface Chunk {
  /** Its file name in the bundle's folder. */
  readonly name: string;
  readonly script: ScriptOf;
  readonly exports: object;
}

/** Where bundles and their caches are, each in a folder of its name. */
export interface ChunkPlaces {
  readonly bundles: string;
  readonly caches: string;
}

/** The modules of one bundle, each read once. A cache that is missing or was made by another V8 only costs time. */
export class Chunks {
  readonly #places: ChunkPlaces;
  readonly #bundle: string;
  readonly #files: Files;
  readonly #loaded = new Map<string, Chunk>();

  constructor(places: ChunkPlaces, bundle: string, files = copiedFiles) {
    this.#places = places;
    this.#bundle = bundle;
    this.#files = files;
  }

  get loaded(): Iterable<Chunk> {
    return this.#loaded.values();
  }

  /** What the file exports. Errors: Node's, when it cannot be read; whatever it throws. */
  load(name: string): object {
    const known = this.#loaded.get(name);
    if (known !== undefined) return known.exports;
    const { bundles, caches } = this.#places;
    const cachedData = isCacheable(name) ? this.#files.bytes(`${caches}/${this.#bundle}/${name}.cache`) : undefined;
    const script = new Script(this.#files.text(`${bundles}/${this.#bundle}/${name}`), {
      // Not its path: the cache holds it, and is used elsewhere than it was made.
      filename: name,
      ...(cachedData === undefined ? {} : { cachedData }),
    });
    const chunk: Chunk = { name, script, exports: {} };
    this.#loaded.set(name, chunk);
    const body = script.runInThisContext() as Body;
    // The folder of main.cjs: what is found from there must be the same for all.
    body(chunk.exports, (id) => this.#require(id), bundles);
    return chunk.exports;
  }

  #require(id: string): unknown {
    return id.startsWith('./') ? this.load(id.slice(2)) : process.getBuiltinModule(id);
  }
}
