import { TareError } from '../base/errors.ts';
import type { Exchange, HttpRequest } from './_exchange.ts';
import { isLoopback } from './_loopback.ts';
import type { HttpResponse } from './_response.ts';

const MAX_REDIRECTS = 5;

/** What is allowed of the places that answers send us to. */
export interface FollowRules {
  /** The user agreed to plain http: then plain http may lead to plain http. */
  readonly insecure: boolean;
  /** No redirect to another origin: the body is a secret. */
  readonly sameOrigin?: boolean;
}

/** Sends a request and follows redirects by hand: no way back to plain http, and Authorization stays with the origin it was made for. */
export async function follow(
  exchange: Exchange,
  start: URL,
  request: HttpRequest,
  rules: FollowRules,
): Promise<HttpResponse> {
  let url = start;
  let headers = request.headers;
  for (let redirects = 0; ; redirects++) {
    const response = await exchange.send(url, { ...request, headers });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    response.discard();
    const doing = `follow a redirect of ${url.host}`;
    if (redirects >= MAX_REDIRECTS) throw refusal(doing, `there are more than ${MAX_REDIRECTS}`);
    const next = targetOf(response, doing, rules);
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (!reads && response.status < 307)
      throw refusal(doing, `status ${response.status} would turn a ${request.method} into a GET`);
    if (next.origin !== url.origin) {
      if (rules.sameOrigin === true) throw refusal(doing, `it leads to ${next.host}, with a secret`);
      const { authorization: _, ...others } = headers;
      headers = others;
    }
    url = next;
  }
}

/**
 * The address in an answer's Location, which a registry chooses freely: https, or plain http where the answer itself came so, on this machine or by the user's word.
 *
 * Errors: `denied`.
 */
export function targetOf(response: HttpResponse, doing: string, { insecure }: FollowRules): URL {
  const location = response.header('location') ?? '';
  if (location === '' || !URL.canParse(location, response.url)) throw refusal(doing, 'it leads nowhere');
  const next = new URL(location, response.url);
  const plain =
    next.protocol === 'http:' && response.url.protocol === 'http:' && (insecure || isLoopback(next.hostname));
  if (next.protocol !== 'https:' && !plain)
    throw refusal(doing, `it leads to ${next.protocol}//${next.host}, which is not https`);
  if (next.username !== '' || next.password !== '') throw refusal(doing, 'its address has a user name in it');
  return next;
}

function refusal(doing: string, state: string): TareError {
  return new TareError('denied', `Cannot ${doing}: ${state}`);
}
