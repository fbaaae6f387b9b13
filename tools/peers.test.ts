import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findMirror, insidePeers } from './peers.ts';

test('findMirror reads deb822 sources: the Debian archive with main, not security, not third parties, not disabled ones', () => {
  const text = [
    'Types: deb',
    'URIs: https://packages.example.com/debian',
    'Components: stable',
    '',
    'Enabled: no',
    'Types: deb',
    'URIs: http://off.example.com/debian',
    'Components: main',
    '',
    'Types: deb deb-src',
    '# a comment',
    'URIs: http://deb.example.org/debian-security http://deb.example.org/debian',
    'Suites: bookworm',
    'Components: main contrib',
    'Signed-By: /usr/share/keyrings/debian.gpg',
  ].join('\n');
  assert.deepEqual(findMirror([{ name: 'debian.sources', text }]), {
    url: 'http://deb.example.org/debian',
    signedBy: '/usr/share/keyrings/debian.gpg',
  });
});

test('findMirror reads one-line sources with and without options', () => {
  const plain =
    '# deb http://no.example/debian sid main\ndeb-src http://no.example/debian sid main\ndeb http://a.example/debian/ sid main';
  assert.deepEqual(findMirror([{ name: 'sources.list', text: plain }]), { url: 'http://a.example/debian/' });
  const options = 'deb [arch=amd64 signed-by=/k.gpg] https://b.example/debian sid contrib main';
  assert.deepEqual(findMirror([{ name: 'x.list', text: options }]), {
    url: 'https://b.example/debian',
    signedBy: '/k.gpg',
  });
});

test('findMirror gives nothing when only other archives are configured', () => {
  const text = 'deb http://archive.ubuntu.com/ubuntu noble main';
  assert.equal(findMirror([{ name: 'sources.list', text }]), undefined);
});

test('insidePeers refuses a folder that setup did not make', () => {
  assert.throws(() => insidePeers('/proc', '/', ['true']), /not set up/);
});
