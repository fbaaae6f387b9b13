import { TareError } from '../base/errors.ts';
import { parseTag, type RepositoryPath, type Tag } from '../spec/mod.ts';
import type { RegistryConnection } from './_connection.ts';
import type { HttpResponse } from './_response.ts';

const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_PAGES = 10_000;

/** Every tag of a repository, page after page (distribution-spec, end-8). Errors: as RegistryReader; `denied` for a page on another host. */
export async function* listTags(
  connection: RegistryConnection,
  repository: RepositoryPath,
  signal: AbortSignal | undefined,
): AsyncGenerator<Tag> {
  const doing = `list the tags of ${connection.host}/${repository}`;
  let path: string | undefined = `${repository}/tags/list?n=1000`;
  const seen = new Set<string>();
  while (path !== undefined) {
    if (seen.has(path) || seen.size >= MAX_PAGES)
      throw new TareError('invalid', `Cannot ${doing}: the pages never end`);
    seen.add(path);
    const response = await connection.send(
      path,
      {
        method: 'GET',
        scopes: [{ repository, actions: 'pull' }],
        signal,
        doing,
        missing: 'NAME_UNKNOWN',
      },
      200,
    );
    const text = new TextDecoder().decode(await response.bytes(MAX_PAGE_BYTES, `the tags of ${repository}`));
    for (const tag of tagsOf(text, doing)) yield tag;
    path = nextPage(response, doing);
  }
}

/** The path of the page that `Link: <...>; rel="next"` names, on the same host only. */
function nextPage(response: HttpResponse, doing: string): string | undefined {
  const link = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(response.header('link') ?? '')?.[1];
  if (link === undefined) return undefined;
  const url = URL.canParse(link, response.url) ? new URL(link, response.url) : undefined;
  if (url?.origin !== response.url.origin || !url.pathname.startsWith('/v2/')) {
    throw new TareError('denied', `Cannot ${doing}: the next page is on another host`);
  }
  return url.pathname.slice('/v2/'.length) + url.search;
}

function tagsOf(text: string, doing: string): Tag[] {
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch (cause) {
    throw new TareError('invalid', `Cannot ${doing}: the answer is not JSON`, { cause });
  }
  const tags = typeof page === 'object' && page !== null && 'tags' in page ? page.tags : undefined;
  if (tags === null) return [];
  if (!Array.isArray(tags)) throw new TareError('invalid', `Cannot ${doing}: the answer has no list of tags`);
  return tags.map((tag) => parseTag(String(tag)));
}
