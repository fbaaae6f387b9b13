/** Templates, filters and tables of `ps`, `inspect`, `info` with real containers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lab, canRun } from './tare.ts';

class FormatLab extends Lab {
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async fails(code: number, message: RegExp, ...args: string[]): Promise<string> {
    const outcome = await this.tare(args);
    assert.equal(outcome.code, code, `${args.join(' ')}: ${outcome.stdout}${outcome.stderr}`);
    assert.match(outcome.stderr, message);
    return outcome.stdout;
  }
}

describe('formats and filters', { skip: canRun, concurrency: 1 }, () => {
  test('ps: tables, sizes, namespaces, sorting, JSON, filters', async () => {
    using lab = new FormatLab();
    const script = 'echo 0123456789 >/var/tmp/tare-formats; echo ready; sleep 1000';
    await lab.ok(
      'run',
      '-d',
      '--name',
      'web',
      '-l',
      'app=x',
      '-l',
      'tier=front',
      '-v',
      '/usr/share:/data:ro',
      'host:',
      'sh',
      '-c',
      script,
    );
    await lab.ok('create', '--name', 'alpha', '-l', 'app=y', 'host:', 'true');
    await lab.ok('run', '--name', 'ended', 'host:', 'sh', '-c', 'exit 3').catch(() => '');
    // Its file is written when it says so.
    for (let line = ''; !line.includes('ready');) line = await lab.ok('logs', 'web');

    const names = (...args: string[]): Promise<string> => lab.ok('ps', '-a', '--format', '{{.Names}}', ...args);
    assert.equal(await names(), 'ended\nalpha\nweb\n');
    assert.equal(await names('--sort', 'names'), 'alpha\nended\nweb\n');
    assert.equal(await names('--sort', 'status'), 'alpha\nended\nweb\n');
    assert.equal(await names('-n', '2'), 'ended\nalpha\n');
    assert.equal(await names('-l'), 'ended\n');
    assert.equal(await names('-f', 'volume=/data'), 'web\n');
    assert.equal(await names('-f', 'volume=/usr/share'), 'web\n');
    assert.equal(await names('-f', 'before=alpha'), 'web\n');
    assert.equal(await names('-f', 'since=alpha'), 'ended\n');
    assert.equal(await names('-f', 'exited=3'), 'ended\n');
    assert.equal(await names('-f', 'label!=app'), 'ended\n');
    assert.equal(await names('-f', 'label!=app=x', '-f', 'label=app'), 'alpha\n');
    assert.equal(await names('-f', 'until=1h'), '');
    assert.equal(await names('-f', 'network=none', '-f', 'health=none', '-f', 'status=running'), 'web\n');
    assert.equal(await names('-f', 'pod=any'), '');
    await lab.fails(
      125,
      /^Error: Cannot use --filter before=nobody: .*no such container\n$/,
      'ps',
      '-f',
      'before=nobody',
    );
    await lab.fails(125, /there is no filter colour; there are id=, name=, /, 'ps', '-f', 'colour=red');

    assert.equal(
      await lab.ok('ps', '--format', 'table {{.Names}}\\t{{.State}}\\t{{.Label "app"}}\\t{{.Size}}\\t{{.Mounts}}'),
      'NAMES   STATE     app   SIZE                MOUNTS\nweb     running   x     11B (virtual 11B)   /usr/share\n',
    );
    assert.equal(await lab.ok('ps', '--format', '{{range .}}{{.Names}},{{end}}'), 'web,\n');
    assert.match(await lab.ok('ps', '-s'), /NAMES +SIZE\n.* web +11B \(virtual 11B\)\n$/);
    assert.equal(await lab.ok('ps', '--noheading', '--format', 'table {{.Names}}'), 'web\n');
    const pid = (await lab.ok('inspect', '-f', '{{.State.Pid}}', 'web')).trim();
    assert.match(
      await lab.ok('ps', '--ns'),
      new RegExp(`^CONTAINER ID +NAMES +PID .*USERNS +UTS\n[0-9a-f]{12} +web +${pid} +\\d+ .*\\d+\n$`),
    );
    const [first] = JSON.parse(await lab.ok('ps', '-s', '--format', 'json')) as Record<string, unknown>[];
    assert.deepEqual(
      [first?.['Names'], first?.['Labels'], first?.['State'], first?.['Size'], String(first?.['Pid'])],
      [['web'], { app: 'x', tier: 'front' }, 'running', { rwSize: 11, rootFsSize: 11 }, pid],
    );
    assert.equal(await lab.ok('ps', '-f', 'name=nobody', '--format', 'json'), '[]\n');
    await lab.fails(
      125,
      /line 1, column 10: there is no field Nmaes; did you mean Names\?/,
      'ps',
      '--format',
      'table {{ .Nmaes}}',
    );
    await lab.fails(125, /--size and --quiet/, 'ps', '-sq');
  });

  test('inspect: several names, types, sizes, the newest; what is there is printed, what is not makes it 1', async () => {
    using lab = new FormatLab();
    await lab.ok('create', '--name', 'one', '-e', 'A=1', '-e', 'B=2', '-l', 'x-y=z', 'host:', 'sleep', '5');
    await lab.ok('create', '--name', 'two', 'host:', 'true');
    assert.equal(
      await lab.fails(1, /^Error: .*nope.*\n$/, 'inspect', '-f', '{{.Name}}', 'one', 'nope', 'two'),
      'one\ntwo\n',
    );
    assert.equal((JSON.parse(await lab.fails(1, /nope/, 'inspect', 'one', 'nope')) as unknown[]).length, 1);
    assert.equal(await lab.ok('inspect', '-f', '{{range .}}{{.Name}};{{end}}', 'one', 'two'), 'one;two;\n');
    assert.equal(
      await lab.ok(
        'inspect',
        '-f',
        '{{range .Config.Env}}{{if or (eq . "A=1") (eq . "B=2")}}{{println .}}{{end}}{{end}}',
        'one',
      ),
      'A=1\nB=2\n\n',
    );
    assert.equal(
      await lab.ok(
        'inspect',
        '-f',
        '{{index .Config.Labels "x-y"}} {{.Config.Labels.none}} {{join .Config.Cmd "+"}} {{json .State.Running}} {{if .State.Health}}x{{else}}no check{{end}}',
        'one',
      ),
      'z <no value> sleep+5 false no check\n',
    );
    assert.equal(await lab.ok('inspect', '-l', '-s', '-f', '{{.Name}} {{.SizeRw}} {{.SizeRootFs}}'), 'two 0 0\n');
    await lab.fails(1, /no such image/, 'inspect', '--type', 'image', 'one');
    await lab.fails(1, /Cannot find pod one: it is a container/, 'inspect', '--type', 'pod', 'one');
    await lab.fails(125, /expected container or image or .*pod or all/, 'inspect', '--type', 'box', 'one');
    await lab.fails(125, /at least 1 argument/, 'inspect');
    await lab.fails(125, /--latest and a name/, 'inspect', '-l', 'one');
    await lab.fails(125, /no field Stat; did you mean State\?/, 'inspect', '-f', '{{.Stat}}', 'one');
  });

  test('info: text, JSON, templates with the names of podman and docker; makes nothing', async () => {
    using lab = new FormatLab();
    const info = JSON.parse(await lab.ok('info', '--format', 'json')) as {
      host: { cgroupVersion: string; cpus: number };
      store: { graphRoot: string; containerStore: { number: number } };
      missing: { what: string; effect: string; todo: string }[];
    };
    assert.equal(info.store.graphRoot, lab.env['TARE_STORAGE_ROOT']);
    for (const lack of info.missing) assert.ok(lack.what !== '' && lack.effect !== '' && lack.todo !== '');
    assert.equal(
      await lab.ok('info', '-f', '{{.Host.CgroupVersion}} {{.Store.ContainerStore.Number}} {{.Containers}} {{.NCPU}}'),
      `${info.host.cgroupVersion} 0 0 ${info.host.cpus}\n`,
    );
    assert.match(await lab.ok('info'), /^host:\n[^]*\nmissing:/);
    await lab.fails(125, /no field Cpus2/, 'info', '-f', '{{.Host.Cpus2}}');
  });
});
