/**
 * Archives as bytes: tar in and out, tar-split, whiteouts, and a layer's way onto disk.
 *
 * Everything is a push parser or a generator with bounded memory, strict where two readers could disagree about what an archive holds. Names are
 * bytes (`ByteString`), not text. `LayerUnpacker` is the one pass from the tar of a layer to an overlayfs lower directory: it parses here and lets
 * `sys/apply` do the system calls.
 *
 * Reading order: byte-string.ts, tar-header.ts, pax.ts, tar-reader.ts, tar-writer.ts, whiteout.ts, tar-split.ts, unpack.ts; then tree-tar.ts and tree-extract.ts, for files
 * of containers that somebody else may change meanwhile.
 */
export { type ByteString, bytesOf, cleanPath, utf8Of } from './byte-string.ts';
export { Crc64 } from './crc64.ts';
export { type TarEntry, type TarKind, type TarLimits, TarReader, type TarSink } from './tar-reader.ts';
export { joinTarSplit, parseTarSplitLine, readTarSplit, type TarSplitEntry, TarSplitWriter } from './tar-split.ts';
export { TAR_END, tarHeader, type TarInput, tarPadding } from './tar-writer.ts';
export { type ExtractOptions, type ExtractPlace, type Owner, TreeExtractor } from './tree-extract.ts';
export { treeEntries, treeTar, type TreeTarOptions } from './tree-tar.ts';
export type { IdChange } from './_tree-entry.ts';
export { LayerUnpacker, type Unpacked, type UnpackOptions } from './unpack.ts';
export { type Whiteout, whiteoutOf } from './whiteout.ts';
