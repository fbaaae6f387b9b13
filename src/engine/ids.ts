import { randomBytes } from '../sys/random-bytes.ts';

/** A new container id: 64 lower-case hex digits. */
export function newId(): string {
  return randomBytes(32).toString('hex');
}

/** The form people see. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

const ADJECTIVES =
  'agile amber azure bold brave brisk bright calm clear clever cosy crisp deft eager early easy fair fast fine fleet fresh gentle glad grand green happy hardy honest humble jolly keen kind light lively lucid lucky merry mild modest neat nimble noble open plain prime proud quick quiet rapid ready rosy sharp shiny silent simple sleek slim smart smooth snug solid sound spare steady still sturdy sunny sure swift tidy true vivid warm wise witty'.split(
    ' ',
  );
const NOUNS =
  'anchor apple arch aspen badger barge beacon birch bison bridge brook buoy canyon cedar cliff cloud comet coral crane creek delta dune eagle ember falcon fern finch fjord flint forest fox garden glacier grove harbor hawk heron hill island ivy jetty juniper lagoon lake lark lemon lily lynx maple marble meadow mesa mill moose moss oak ocean olive orchid otter owl pebble pier pine plum pond poplar quartz raven reef ridge river robin sail sparrow spruce stone stream summit thistle tiger trail tulip valley walnut willow wren'.split(
    ' ',
  );

/** A readable name derived from the id, so that two of them collide only as often as 16 bits of it do. */
export function generatedName(id: string): string {
  const n = Number.parseInt(id.slice(0, 8), 16);
  const adjective = ADJECTIVES[n % ADJECTIVES.length] ?? 'plain';
  const noun = NOUNS[Math.floor(n / ADJECTIVES.length) % NOUNS.length] ?? 'stone';
  return `${adjective}_${noun}`;
}
