/** One store, two programs: the same templates and filters give the same lines. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pullImage } from '../../src/engine/mod.ts';
import { canRun, Lab } from '../engine/lab.ts';
import { canPodman, peer } from '../image/peer.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';

const skip = canRun || canPodman || noBusybox();

/** A store with busybox, an image built on it by podman (with what its cache keeps), one without a name, and two with labels. */
async function filled(lab: Lab): Promise<void> {
  await pullImage(lab.engine, (await busyboxImage()).source);
  const context = join(lab.dir, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Containerfile'),
    `FROM localhost/busybox:latest
LABEL app=web "com.example.some-key"="a value"
ENV A=1 B="two words"
COPY Containerfile /Containerfile
EXPOSE 80/tcp 53/udp
VOLUME /data
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo one; echo two"]
STOPSIGNAL SIGINT
WORKDIR /tmp
`,
  );
  peer(lab, 'podman', 'build', '-q', '--isolation', 'chroot', '-t', 'localhost/app:1', context);
  writeFileSync(join(context, 'Containerfile'), 'FROM localhost/busybox:latest\nLABEL app=db\n');
  const nameless = peer(
    lab,
    'podman',
    'build',
    '-q',
    '--isolation',
    'chroot',
    '-t',
    'localhost/lost:1',
    context,
  ).trim();
  peer(lab, 'podman', 'untag', nameless);
  peer(lab, 'podman', 'tag', 'localhost/app:1', 'quay.io/team/app:stable');
}

const imageTemplates: readonly string[] = [
  '{{.Id}} {{.Architecture}}/{{.Os}} {{.Digest}}',
  '{{json .RepoTags}} {{len .RepoTags}} {{index .RepoTags 0}} {{range .RepoTags}}<{{.}}>{{end}}',
  '{{range $i, $env := .Config.Env}}{{if $i}},{{end}}{{$i}}:{{$env}}{{end}}',
  '{{json .Config.Env}} {{join .Config.Env ";"}} {{index .Config.Env 1 | upper}}',
  '{{.Config.Labels}} {{index .Config.Labels "com.example.some-key"}} {{.Config.Labels.app}} {{json .Config.Labels}}',
  '{{index .Labels "none"}}|{{.Labels.none}}|{{with .Config.Labels.app}}{{.}}{{end}}',
  '{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{.Config.Entrypoint}} {{.Config.Cmd}}',
  '{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}{{json .Config.Volumes}}',
  '{{.Config.WorkingDir}} {{.Config.StopSignal}} {{len .RootFS.Layers}} {{.RootFS.Type}}',
  '{{if and .Config.Cmd (not .Author)}}yes{{else}}no{{end}} {{if eq .Os "linux" "plan9"}}os{{end}}',
  '{{range .History}}{{.CreatedBy | printf "%.20s|"}}{{end}}',
  '{{.ID | printf "%-15.12s|"}} {{len .History | printf "%5d"}}',
  '{{with $image := .}}{{slice $image.ID 0 12}}{{end}}',
  '{{- range .RootFS.Layers -}} {{slice . 0 10}} {{- end}}',
];

const listTemplates: readonly string[] = [
  '{{.Repository}}:{{.Tag}} {{.ID}} {{.Digest}}',
  'table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}',
  '{{range .}}{{.Repository}}|{{println}}{{end}}',
  '{{if eq .Repository "<none>"}}nameless{{else}}{{.Repository | upper}}{{end}} {{.Dangling}} {{.Containers}}',
];

const filters: readonly (readonly string[])[] = [
  [],
  ['-a'],
  ['--filter', 'dangling=true'],
  ['--filter', 'dangling=false'],
  ['-a', '--filter', 'intermediate=true'],
  ['--filter', 'label=app'],
  ['--filter', 'label=app=web'],
  ['--filter', 'label=com.example.some-key=a value'],
  ['--filter', 'reference=localhost/app'],
  ['--filter', 'reference=*/app:*'],
  ['--filter', 'reference=quay.io/*/*'],
  ['--filter', 'before=localhost/app:1'],
  ['--filter', 'since=localhost/busybox'],
  ['--filter', 'until=1h'],
  ['--filter', 'readonly=false'],
  ['--filter', 'readonly=true'],
];

test('images, inspect and history print what podman prints', { skip, timeout: 240_000 }, async () => {
  await using lab = new Lab();
  await filled(lab);
  const ours = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await lab.tare(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  /** Without the spaces that fill a column. */
  const lines = (text: string): string[] =>
    text
      .split('\n')
      .map((line) => line.trimEnd().replace(/ {2,}/g, '  '))
      .filter((line) => line !== '')
      .sort();
  for (const template of imageTemplates) {
    const args = ['inspect', '--type', 'image', '--format', template, 'localhost/app:1'];
    assert.equal(await ours(...args), peer(lab, 'podman', ...args), template);
  }
  const several = ['inspect', '--format', '{{.Id}}', 'localhost/app:1', 'localhost/busybox'];
  assert.equal(await ours(...several), peer(lab, 'podman', ...several));
  for (const template of listTemplates) {
    const args = ['images', '--format', template];
    assert.deepEqual(lines(await ours(...args)), lines(peer(lab, 'podman', ...args)), template);
  }
  for (const filter of filters) {
    const args = ['images', '-q', '--no-trunc', ...filter];
    const ids = (text: string): string[] => [...new Set(text.split('\n'))].sort();
    assert.deepEqual(ids(await ours(...args)), ids(peer(lab, 'podman', ...args)), filter.join(' '));
  }
  // A container of podman's own, beside one of ours.
  const foreign = peer(lab, 'podman', 'create', '--name', 'theirs', '--network', 'none', 'localhost/app:1').trim();
  await ours('create', '--name', 'mine', 'localhost/app:1');
  const names = ['ps', '-a', '--external', '--format', '{{.Names}} {{.Image}} {{.Status}} {{.State}}'];
  assert.equal(await ours(...names), 'mine localhost/app:1 Created created\ntheirs localhost/app:1 Storage unknown\n');
  assert.match(await ours('ps', '-aq', '--no-trunc', '--external'), new RegExp(`\n${foreign}\n$`));
  const [, theirs] = JSON.parse(await ours('ps', '-a', '--external', '--format', 'json')) as Record<string, unknown>[];
  assert.deepEqual([theirs?.['Id'], theirs?.['Names'], theirs?.['External']], [foreign, ['theirs'], true]);
  assert.equal(await ours('ps', '-a', '--format', '{{.Names}}'), 'mine\n');
  assert.equal(await ours('ps', '-a', '-f', 'ancestor=localhost/busybox', '--format', '{{.Names}}'), 'mine\n');
  assert.equal(await ours('ps', '-a', '-f', 'ancestor=localhost/app:1', '--format', '{{.Names}}'), 'mine\n');
  assert.equal(await ours('ps', '-a', '-f', 'volume=/data', '--format', '{{.Names}}'), 'mine\n');
  for (const template of ['{{.CreatedBy}}|{{.Comment}}', '{{.CreatedBy | printf "%.10s"}}']) {
    const args = ['history', '--no-trunc', '--format', template, 'localhost/app:1'];
    assert.equal(await ours(...args), peer(lab, 'podman', ...args), template);
  }
});
