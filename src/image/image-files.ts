/** A file of an image's place, open for reading. */
export interface ImageFile extends Disposable {
  readonly sizeBytes: number;
  read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The files that images are kept in: a directory's, or those in a tar archive. */
export interface ImageFiles extends AsyncDisposable {
  /** For people. */
  readonly place: string;
  /** `path` is relative and clean: `index.json`, `blobs/sha256/HEX`. Errors: `not-found`, `invalid`, `denied`. */
  open(path: string): ImageFile;
  /** Whether a file, or a link to one, is there. */
  has(path: string): boolean;
}
