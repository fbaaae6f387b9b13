import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findNativeDir, nativeDir } from './native.ts';

const name = `@tare/linux-${process.arch}`;

function withPackage(body: (put: (...path: string[]) => string) => void): void {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-native-')));
  try {
    body((...path) => {
      const home = join(dir, ...path);
      mkdirSync(join(home, 'build'), { recursive: true });
      writeFileSync(join(home, 'package.json'), '{}');
      return home;
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('nativeDir: a checkout has its own', () => {
  assert.equal(realpathSync(nativeDir()), realpathSync(join(import.meta.dirname, '../..')));
});

test('findNativeDir: the own folder first, then the package of this machine as Node finds modules', () => {
  withPackage((put) => {
    const library = put('node_modules/tare');
    assert.throws(() => findNativeDir(library), {
      kind: 'not-found',
      message: new RegExp(`the package ${name} is not installed`),
    });
    const beside = put('node_modules', name);
    assert.equal(findNativeDir(library), beside);
    assert.equal(findNativeDir(put('node_modules/other/node_modules/tare')), beside);
    const inside = put('node_modules/nested/node_modules', name);
    assert.equal(findNativeDir(put('node_modules/nested')), inside);
    writeFileSync(join(library, 'build/tare.node'), '');
    assert.equal(findNativeDir(library), library);
  });
});
