import type { PullEvent } from '../image/pull.ts';
import { humanSize } from './human.ts';

const REDRAW_MS = 100;
const BAR_CELLS = 24;

/** What the drawing says, which depends on the direction. */
export interface ProgressWords {
  /** Of a layer that need not move. */
  readonly present: string;
  readonly commit: string;
}

export const pullWords: ProgressWords = { present: 'already here', commit: 'Writing the image' };
export const pushWords: ProgressWords = { present: 'already there', commit: 'Writing the manifest' };

/** Draws the events of a pull or push. */
export interface PullProgress extends Disposable {
  readonly onProgress: (event: PullEvent) => void;
}

/** One line for each thing that is done: for logs and pipes. */
export function plainProgress(write: (text: string) => void, words: ProgressWords): PullProgress {
  return {
    onProgress(event) {
      if (event.phase === 'resolved') write(`Image ${event.manifest}: ${event.layers.length} layers\n`);
      else if (event.phase === 'present') write(`${short(event.layer)}: ${words.present}\n`);
      else if (event.phase === 'layer-done') write(`${short(event.layer)}: done\n`);
      else if (event.phase === 'commit') write(`${words.commit}\n`);
    },
    [Symbol.dispose]() {},
  };
}

interface Row {
  readonly layer: string;
  bytes: number;
  total: number;
  state: 'waiting' | 'present' | 'loading' | 'done';
}

/** One line for each layer, drawn again in place at most ten times a second; the last state stays on the screen. */
export function barProgress(
  write: (text: string) => void,
  size: () => { readonly rows: number; readonly cols: number },
  now: () => number,
  words: ProgressWords,
): PullProgress {
  let rows: Row[] = [];
  let drawn = 0;
  let drawnAt = 0;
  const draw = (): void => {
    const { rows: height, cols } = size();
    // What is taller than the screen cannot be drawn in place: show what moves.
    const room = Math.max(1, (height || 24) - 1);
    const shown = rows.length <= room ? rows : rows.filter((row) => row.state === 'loading').slice(0, room);
    const text = shown.map((row) => `\x1b[2K${line(row, words).slice(0, Math.max(20, (cols || 80) - 1))}\n`).join('');
    write(`${drawn === 0 ? '' : `\x1b[${drawn}A\x1b[J`}${text}`);
    drawn = shown.length;
    drawnAt = now();
  };
  const row = (index: number): Row | undefined => rows[index];
  return {
    onProgress(event) {
      let always = true;
      switch (event.phase) {
        case 'resolved':
          // What is on the screen of another image stays there.
          if (rows.length > 0) [rows, drawn] = [[], 0];
          rows = event.layers.map((layer) => ({ layer: layer.digest, bytes: 0, total: layer.size, state: 'waiting' }));
          break;
        case 'present': {
          const found = row(event.index);
          if (found !== undefined) found.state = 'present';
          break;
        }
        case 'layer': {
          const found = row(event.index);
          if (found !== undefined) Object.assign(found, { bytes: event.bytes, total: event.total, state: 'loading' });
          always = false;
          break;
        }
        case 'layer-done': {
          const found = row(event.index);
          if (found !== undefined) found.state = 'done';
          break;
        }
        case 'commit':
          break;
      }
      if (always || now() - drawnAt >= REDRAW_MS) draw();
    },
    [Symbol.dispose]() {
      if (rows.length > 0) draw();
    },
  };
}

function line(row: Row, words: ProgressWords): string {
  const name = short(row.layer);
  switch (row.state) {
    case 'waiting':
      return `${name}: waiting`;
    case 'present':
      return `${name}: ${words.present}`;
    case 'done':
      return `${name}: done  ${humanSize(row.total)}`;
    case 'loading': {
      const filled = row.total === 0 ? BAR_CELLS : Math.min(BAR_CELLS, Math.floor((row.bytes / row.total) * BAR_CELLS));
      return `${name}: [${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]  ${humanSize(row.bytes)} of ${humanSize(row.total)}`;
    }
  }
}

function short(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12);
}
