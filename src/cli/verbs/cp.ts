import { copyFiles, copyIn, copyOut, type CopyEnd } from '../../engine/copy.ts';
import { isTerminal } from '../../sys/tty.ts';
import { streamOf } from '../../sys/read-stream.ts';
import { writeAll } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare cp`: prints nothing but the stream that was asked for. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER:PATH PATH|- | PATH|- CONTAINER:PATH | CONTAINER:PATH CONTAINER:PATH',
  flags: {
    archive: {
      type: 'switch',
      short: 'a',
      help: 'Keep owners, set-id bits and capabilities (default: files belong to who copies, in a container to its user)',
    },
    'follow-link': { type: 'switch', short: 'L', help: 'Copy what a link leads to, when the source is one' },
    overwrite: { type: 'switch', help: 'Let files take the place of directories, and directories that of files' },
    quiet: { type: 'switch', short: 'q', help: 'Accepted for compatibility: nothing is printed anyway' },
  },
  args: { min: 2, max: 2 },
  examples: [
    ['cp job:/var/log .', 'A directory, with its name'],
    ['cp conf/. job:/etc/app', 'What is in a directory'],
    ['cp job:/etc/passwd -', 'As a tar on standard output; also the other way: tar -c x | tare cp - job:/tmp'],
  ],
  async run(context, values, [from = '', to = '']) {
    const { engine, cwd } = context;
    const [source, target] = [endOf(from, cwd), endOf(to, cwd)];
    const { archive = false, overwrite = false, 'follow-link': followLink = false } = values;
    return await watched(context, true, async ({ signal }) => {
      if (source === '-') {
        if (target === '-' || target.kind === 'host') throw needsContainer();
        if (isTerminal(0)) throw new UsageError('Cannot read an archive from a terminal: redirect standard input');
        await copyIn(engine, target.container, target.path, streamOf(0, signal), { overwrite, signal });
        return 0;
      }
      if (target === '-') {
        if (source.kind === 'host') throw needsContainer();
        if (isTerminal(1)) throw new UsageError('Cannot write an archive to a terminal: redirect standard output');
        for await (const bytes of copyOut(engine, source.container, source.path, { followLink, signal }))
          await writeAll(1, bytes);
        return 0;
      }
      if (source.kind === 'host' && target.kind === 'host') throw needsContainer();
      const { skipped } = await copyFiles(engine, source, target, {
        archive,
        followLink,
        overwrite,
        signal,
        hostOwner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      });
      context.warn(skipped.map((path) => `${path} was not copied: it is a device`));
      return 0;
    });
  },
});

/** `CONTAINER:PATH`; what begins with `/` or `.`, or has no colon, is a path of this machine. */
function endOf(text: string, cwd: string): CopyEnd | '-' {
  if (text === '-') return '-';
  const colon = text.indexOf(':');
  if (colon > 0 && !/^[/.]/.test(text)) {
    const path = text.slice(colon + 1);
    if (path === '') throw new UsageError(`Cannot copy ${text}: a path must follow the colon`);
    return { kind: 'container', container: text.slice(0, colon), path };
  }
  if (text === '') throw new UsageError('Cannot copy: a path is empty');
  return { kind: 'host', path: text.startsWith('/') ? text : `${cwd}/${text}` };
}

function needsContainer(): UsageError {
  return new UsageError('Cannot copy: one of the two must be in a container (CONTAINER:PATH)');
}
