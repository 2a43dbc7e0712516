import { EnvironmentError, UnsupportedError } from '../common/errors.ts'
import type { CasKind } from '../lake/state/format.ts'
import { NONCE } from '../lake/state/names.ts'
import { utf8Decode, utf8Encode } from '../common/utf8.ts'
import type { Cas } from './cas.ts'
import { EtagCas } from './etagcas.ts'
import type { ObjectStore, PutOptions, PutOutcome } from './objectstore.ts'
import type { Random } from './random.ts'
import { SequencedCas } from './sequencedcas.ts'

/** Two writers at once, so many times. A server that checks first and writes later lets 4 to 80 of 100 such races have two winners. */
const RACES = 24
const ATTEMPTS = 5

/** The first segment of a probe's keys. */
const PROBE = 'probe'

/** Whether a probe made an object, and was killed before it could delete it. */
export function isProbe(key: string): boolean {
  const [prefix, nonce = ''] = key.split('/')
  return prefix === PROBE && NONCE.test(nonce)
}

/**
 * Tries which conditions a store honours, with objects below `<prefix>/<nonce>` that are deleted at the end. A lake does it once, when it is created.
 * @throws EnvironmentError store.no-conditions if the store does not even create an object only if absent; store.unavailable without clear answers
 */
export async function probeCas(store: ObjectStore, random: Pick<Random, 'nonce'>, prefix: string = PROBE): Promise<CasKind> {
  const probe = new Probe(store, `${prefix}/${random.nonce()}`)
  try {
    if (!await probe.honours(() => probe.createsIfAbsent())) {
      throw new EnvironmentError('store.no-conditions', `${store.url} overwrites an object although it was told not to (If-None-Match): two writers would `
        + 'lose one another\'s work; use a server that honours conditional writes, as S3 does')
    }
    return await probe.honours(() => probe.replacesIfSame()) ? 'if-match' : 'if-none-match'
  } finally {
    await probe.end()
  }
}

/** The value of this key, in the way of the store. */
export function openCas(store: ObjectStore, key: string, kind: CasKind): Cas {
  return kind === 'if-match' ? new EtagCas(store, key) : new SequencedCas(store, key)
}

class Probe {
  private readonly store: ObjectStore
  private readonly prefix: string
  private readonly keys = new Set<string>()

  constructor(store: ObjectStore, prefix: string) {
    this.store = store
    this.prefix = prefix
  }

  async honours(body: () => Promise<boolean>): Promise<boolean> {
    try {
      return await body()
    } catch (error) {
      if (error instanceof UnsupportedError && error.code === 'store.condition') return false
      throw error
    }
  }

  async createsIfAbsent(): Promise<boolean> {
    const absent = { ifNoneMatch: true } as const
    if (await this.put('absent', 'first', absent) !== 'written' || await this.put('absent', 'second', absent) !== 'refused') return false
    if (await this.text('absent') !== 'first') return false
    return this.races('create', () => absent)
  }

  async replacesIfSame(): Promise<boolean> {
    await this.put('same', 'first', {})
    const { etag } = await this.info('same')
    if (await this.put('missing', 'x', { ifMatch: etag }) !== 'refused' || await this.store.head(this.key('missing')) !== undefined) return false
    if (await this.put('same', 'second', { ifMatch: etag }) !== 'written' || await this.text('same') !== 'second') return false
    if (await this.put('same', 'third', { ifMatch: etag }) !== 'refused' || await this.text('same') !== 'second') return false
    return this.races('replace', async (name) => {
      await this.put(name, 'before', {})
      return { ifMatch: (await this.info(name)).etag }
    })
  }

  /** Whether each race of two has one winner, and its bytes stay. */
  private async races(kind: string, prepare: (name: string) => PutOptions | Promise<PutOptions>): Promise<boolean> {
    for (let race = 0; race < RACES; race++) {
      const name = `${kind}-${race}`
      const options = await prepare(name)
      const outcomes = await Promise.all(['a', 'b'].map((text) => this.send(name, text, options)))
      const winners = ['a', 'b'].filter((_, i) => outcomes[i]!.outcome === 'written')
      const isUnknown = outcomes.some(({ outcome }) => outcome === 'unknown')
      if (winners.length > 1) return false
      if (isUnknown) continue
      if (winners.length === 0 || await this.text(name) !== winners[0]) return false
    }
    return true
  }

  async end(): Promise<void> {
    try {
      await this.store.delete([...this.keys])
    } catch (error) {
      // The objects that stay have a few bytes; the result of the probe matters more than they do.
      if (!(error instanceof EnvironmentError)) throw error
    }
  }

  /** Puts an object. Without a clear answer it reads the object, and puts it once more if it is not there. */
  private async put(name: string, text: string, options: PutOptions): Promise<'written' | 'refused'> {
    let reason = ''
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const outcome = await this.send(name, text, options)
      if (outcome.outcome !== 'unknown') return outcome.outcome
      reason = outcome.reason
      const object = await this.store.get(this.key(name))
      if (object !== undefined && equalText(object.bytes, text)) return 'written'
    }
    throw new EnvironmentError('store.unavailable', `${this.store.url} gave no clear answer to ${ATTEMPTS} conditional writes (${reason}): try again`)
  }

  private async send(name: string, text: string, options: PutOptions): Promise<PutOutcome> {
    this.keys.add(this.key(name))
    return this.store.put(this.key(name), utf8Encode(text), options)
  }

  private async text(name: string): Promise<string> {
    return utf8Decode((await this.store.get(this.key(name)))?.bytes ?? new Uint8Array(0))
  }

  private async info(name: string): Promise<{ etag: string }> {
    const info = await this.store.head(this.key(name))
    if (info !== undefined) return info
    throw new EnvironmentError('store.inconsistent',
      `${this.store.url} does not have an object that it has just stored, so it cannot hold a lake: use another store`)
  }

  private key(name: string): string {
    return `${this.prefix}/${name}`
  }
}

function equalText(bytes: Uint8Array, text: string): boolean {
  return utf8Decode(bytes) === text
}
