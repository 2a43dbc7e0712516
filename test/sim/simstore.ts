import { RequestCounters } from '../../src/engine/requestcounters.ts'
import { createHash } from 'node:crypto'
import { EnvironmentError } from '../../src/common/errors.ts'
import type { ByteRange, Leftover, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, StoredObject } from '../../src/engine/objectstore.ts'
import { parseObjectName } from '../../src/lake/state/names.ts'
import { uploadGone } from '../../src/engine/uploadgone.ts'
import type { Random } from '../support/random.ts'
import { Coverage, type Fault } from './coverage.ts'
import { check, type Machine, type World } from './world.ts'

export interface Faults {
  /** Of a hundred requests: how many fail in some way. */
  readonly percent: number
  /** Milliseconds that a request usually takes. */
  readonly latency: number
}

export const NO_FAULTS: Faults = { percent: 0, latency: 10 }

/** What happens at a request of a machine, for runs in which each case is enumerated. */
export type Judge = (machine: Machine, kind: string, key: string) => 'go' | 'kill-before' | 'kill-after'

const RETRIES_MAX = 12
const LISTED_AT_ONCE = 40

/** Objects in memory, as a store has them that is strongly consistent. Each machine reaches them through a handle of its own, over a bad network. */
export class SimStore {
  readonly objects = new Map<string, { bytes: Uint8Array; etag: string; modified: number }>()
  /** Uploads that began and did not end, by their ids. */
  readonly uploads = new Map<string, { key: string; started: number }>()
  readonly world: World
  faults: Faults
  judge: Judge = () => 'go'
  /** Told of each object that was put. */
  onPut: ((key: string, isLate: boolean) => void) | undefined
  requests = 0
  /** How often each request of a kind of process met each fault. */
  readonly coverage = new Coverage()

  constructor(world: World, faults: Faults) {
    this.world = world
    this.faults = faults
  }

  handle(machine: Machine): ObjectStore {
    return new Handle(this, machine)
  }

  put(key: string, bytes: Uint8Array, { ifMatch, ifNoneMatch }: PutOptions = {}, isLate = false): PutOutcome {
    const found = this.objects.get(key)
    if (ifNoneMatch && found || ifMatch !== undefined && found?.etag !== ifMatch) return { outcome: 'refused' }
    const etag = createHash('md5').update(bytes).digest('hex')
    this.objects.set(key, { bytes: bytes.slice(), etag, modified: this.world.now })
    this.onPut?.(key, isLate)
    return { outcome: 'written', etag }
  }

  /** What is referred to is there, and nothing else of a lake. */
  checkCollected(reached: ReadonlySet<string>): void {
    for (const key of this.objects.keys()) check(!parseObjectName(key) || reached.has(key), `${key} is referred to by nothing, and gc leaves it`)
    for (const key of reached) check(this.objects.has(key), `${key} is referred to, and gone`)
    for (const { key } of this.uploads.values()) check(false, `the upload of ${key} never ends, and gc leaves it`)
  }

  info(key: string): ObjectInfo | undefined {
    const found = this.objects.get(key)
    return found && { key, size: found.bytes.length, etag: found.etag, modified: found.modified }
  }
}

/** Lists have the order of this: no other part of the lake has it, so nothing can rely on it. */
function backwards(key: string): string {
  const known = reversed.get(key)
  if (known !== undefined) return known
  const made = [...key].reverse().join('')
  if (reversed.size > 10_000) reversed.clear()
  reversed.set(key, made)
  return made
}
const reversed = new Map<string, string>()

type Reply<T> = { reply: T } | 'lost'

class Handle implements ObjectStore {
  readonly url = 'memory://simulation'
  readonly counters = new RequestCounters()
  private readonly store: SimStore
  private readonly machine: Machine
  private readonly faults: Random

  constructor(store: SimStore, machine: Machine) {
    this.store = store
    this.machine = machine
    this.faults = machine.world.random(`${machine.name} network`)
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | undefined> {
    const found = await this.repeated('get', key, () => {
      const object = this.store.objects.get(key)
      return object && { ...this.store.info(key)!, bytes: object.bytes }
    })
    if (found === undefined || range === undefined) return found
    const [start, end] = 'last' in range ? [Math.max(0, found.size - range.last), found.size] : [range.start, range.end]
    const isShort = this.faults.chance(this.store.faults.percent / 4)
    return { ...found, bytes: found.bytes.slice(start, isShort ? start + this.faults.int(end - start) : end) }
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    return this.repeated('head', key, () => this.store.info(key))
  }

  async put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome> {
    const apply = (isLate = false): PutOutcome => this.store.put(key, bytes, options, isLate)
    if (options === undefined) return await this.repeated('put', key, apply)
    const reply = await this.request('put', key, apply)
    return reply === 'lost' ? { outcome: 'unknown', reason: 'lost' } : reply.reply
  }

  upload(key: string): ObjectUpload {
    const { uploads, world } = this.store
    const id = `${this.machine.name} ${key}`
    const pieces: Uint8Array[] = []
    return {
      write: async (bytes) => {
        if (pieces.length === 0) await this.repeated('upload', key, () => void uploads.set(id, { key, started: world.now }))
        pieces.push(bytes.slice())
      },
      finish: async () => {
        const bytes = Buffer.concat(pieces)
        const etag = await this.repeated('upload', key, () => {
          // An attempt before this one may have been the end.
          if (!uploads.delete(id)) return this.store.objects.get(key)?.etag
          const outcome = this.store.put(key, bytes)
          return outcome.outcome === 'written' ? outcome.etag : undefined
        })
        if (etag === undefined) throw uploadGone(key)
        return { etag, size: bytes.length }
      },
      abort: () => this.repeated('upload', key, () => void uploads.delete(id)),
    }
  }

  async *leftovers(): AsyncIterable<Leftover> {
    const { uploads } = this.store
    for (const [id, { key, started }] of await this.repeated('list', 'uploads', () => [...uploads])) {
      yield { key, started, process: undefined, remove: () => this.repeated('delete', key, () => void uploads.delete(id)) }
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.repeated('delete', keys.join(), () => {
      for (const key of keys) this.store.objects.delete(key)
    })
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    for (let last = ''; ;) {
      const from = last
      const page = await this.repeated('list', prefix, () => [...this.store.objects.keys()].filter((key) => key.startsWith(prefix) && backwards(key) > from)
        .sort((a, b) => backwards(a) < backwards(b) ? -1 : 1).slice(0, LISTED_AT_ONCE).map((key) => this.store.info(key)!))
      yield* page
      if (page.length < LISTED_AT_ONCE) return
      last = backwards(page.at(-1)!.key)
    }
  }

  /** An adapter repeats what has no condition. */
  private async repeated<T>(kind: string, key: string, apply: (isLate?: boolean) => T): Promise<T> {
    for (let attempt = 0; attempt < RETRIES_MAX; attempt++) {
      const reply = await this.request(kind, key, apply)
      if (reply !== 'lost') return reply.reply
      await this.machine.clock.sleep(100 * 2 ** Math.min(attempt, 4))
    }
    throw new EnvironmentError('store.unavailable', `${this.url} does not answer`)
  }

  private request<T>(kind: string, key: string, apply: (isLate?: boolean) => T): Promise<Reply<T>> {
    const { store, machine } = this
    const { world } = machine
    store.requests++
    const verdict = store.judge(machine, kind, key)
    world.note(() => `${machine.name} ${kind} ${key} ${verdict === 'go' ? '' : verdict}`)
    if (verdict === 'kill-before') machine.crash()
    // A process that was killed does not send.
    if (!machine.alive) return new Promise(() => undefined)
    if (verdict === 'kill-after') {
      apply()
      machine.crash()
      return new Promise(() => undefined)
    }
    const { latency, percent } = store.faults
    const way = (): number => latency * (0.3 + this.faults.int(1000) / 1000)
    const there = way()
    const met = (fault: Fault): void => store.coverage.add(machine.name, kind, key, fault)
    if (!this.faults.chance(percent)) return this.answered(there, way(), apply, met)
    switch (this.faults.int(5)) {
      // Refused before it began: a 503, a 409, no connection.
      case 0: {
        met('refused')
        return machine.later(there, () => 'lost')
      }
      // Applied, and nobody hears of it.
      case 1: {
        met('reply lost')
        world.at(there, () => apply())
        return machine.later(there + 20 * latency, () => 'lost')
      }
      // Given up, and applied later: after others, perhaps.
      case 2: {
        met('late')
        world.at(there + (20 + this.faults.int(400)) * latency, () => apply(true))
        return machine.later(20 * latency, () => 'lost')
      }
      default: {
        met('slow')
        return this.answered(there + this.faults.int(100) * latency, way(), apply, met)
      }
    }
  }

  private answered<T>(there: number, back: number, apply: () => T, met: (fault: Fault) => void): Promise<Reply<T>> {
    const { world } = this.machine
    return new Promise((resolve) => {
      world.at(there, () => {
        const reply = apply()
        world.at(back, () => {
          met(this.machine.alive ? 'none' : 'crash')
          if (this.machine.alive) resolve({ reply })
        })
      }, true)
    })
  }
}
