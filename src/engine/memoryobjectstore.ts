import { assert } from '../common/errors.ts'
import { rangeWithin } from './byterange.ts'
import type { Clock } from '../common/clock.ts'
import { checkKey, checkPrefix } from './objectkey.ts'
import type {
  ByteRange, Leftover, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, StoreCounters, StoredObject,
} from './objectstore.ts'
import { RequestCounters } from './requestcounters.ts'
import { uploadGone } from './uploadgone.ts'

interface Content {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly modified: number
}

interface OpenUpload {
  readonly key: string
  readonly started: number
  readonly pieces: Uint8Array[]
}

/** Objects in memory: for tests, for the simulator, for a service that needs no disk. Each request takes effect when it is called. */
export class MemoryObjectStore implements ObjectStore {
  readonly url: string = 'memory:'
  private readonly counted = new RequestCounters()
  private readonly objects = new Map<string, Content>()
  private readonly uploads = new Set<OpenUpload>()
  /** How many objects lie below each prefix that ends before a `/`. */
  private readonly prefixes = new Map<string, number>()
  private readonly clock: Pick<Clock, 'now'>

  constructor(clock: Pick<Clock, 'now'>) {
    this.clock = clock
  }

  get counters(): StoreCounters {
    return this.counted
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | undefined> {
    checkKey(key)
    this.counted.sent('get')
    const content = this.objects.get(key)
    if (content === undefined) return undefined
    const { start, end } = rangeWithin(content.bytes.length, range)
    const bytes = content.bytes.slice(start, end)
    this.counted.received(bytes.length)
    return { ...infoOf(key, content), bytes }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key)
    this.counted.sent('head')
    const content = this.objects.get(key)
    return content === undefined ? undefined : infoOf(key, content)
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<PutOutcome> {
    this.counted.sent('put', bytes.length)
    return this.store(key, bytes, options)
  }

  upload(key: string): ObjectUpload {
    checkKey(key)
    const open: OpenUpload = { key, started: this.clock.now(), pieces: [] }
    this.uploads.add(open)
    let isOpen = true
    const refuseGone = (): void => {
      if (!this.uploads.has(open)) throw uploadGone(key)
    }
    return {
      write: async (bytes) => {
        assert(isOpen, 'a write to an upload that ended')
        refuseGone()
        this.counted.sent('upload', bytes.length)
        open.pieces.push(bytes.slice())
      },
      finish: async () => {
        assert(isOpen, 'an upload ends once')
        isOpen = false
        refuseGone()
        this.counted.sent('upload')
        const bytes = joined(open.pieces)
        this.uploads.delete(open)
        const outcome = this.store(key, bytes, {})
        assert(outcome.outcome === 'written', 'an upload has no condition')
        return { etag: outcome.etag, size: bytes.length }
      },
      abort: async () => {
        isOpen = false
        this.uploads.delete(open)
      },
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey)
    if (keys.length > 0) this.counted.sent('delete')
    for (const key of keys) if (this.objects.delete(key)) this.count(key, -1)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix)
    this.counted.sent('list')
    const found = [...this.objects].filter(([key]) => key.startsWith(prefix)).map(([key, content]) => infoOf(key, content))
    for (const info of found) yield info
  }

  async *leftovers(): AsyncGenerator<Leftover> {
    this.counted.sent('list')
    for (const open of this.uploads) {
      const remove = async (): Promise<void> => void this.uploads.delete(open)
      yield { key: open.key, started: open.started, process: undefined, remove }
    }
  }

  private store(key: string, bytes: Uint8Array, { ifNoneMatch, ifMatch }: PutOptions): PutOutcome {
    checkKey(key)
    assert(ifNoneMatch === undefined || ifMatch === undefined, 'a put has one condition')
    const old = this.objects.get(key)
    if (ifNoneMatch && old !== undefined || ifMatch !== undefined && old?.etag !== ifMatch) return { outcome: 'refused' }
    assert(!this.prefixes.has(key) && !parentsOf(key).some((parent) => this.objects.has(parent)), `${key} is an object and a prefix of others`)
    if (old === undefined) this.count(key, 1)
    const content = { bytes: bytes.slice(), etag: contentTag(bytes), modified: this.clock.now() }
    this.objects.set(key, content)
    return { outcome: 'written', etag: content.etag }
  }

  private count(key: string, change: number): void {
    for (const parent of parentsOf(key)) {
      const count = (this.prefixes.get(parent) ?? 0) + change
      if (count === 0) this.prefixes.delete(parent)
      else this.prefixes.set(parent, count)
    }
  }
}

function infoOf(key: string, { bytes, etag, modified }: Content): ObjectInfo {
  return { key, size: bytes.length, etag, modified }
}

/** `a/b/c`: `a`, `a/b` */
function parentsOf(key: string): string[] {
  const names = key.split('/')
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'))
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** Equal bytes have equal tags, as on S3, where it is their MD5. */
function contentTag(bytes: Uint8Array): string {
  let a = 0x811c9dc5
  let b = bytes.length ^ 0x9e3779b9
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b ^ byte, 0x5bd1e995) ^ (b >>> 15)
  }
  return `"${[a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')}"`
}
