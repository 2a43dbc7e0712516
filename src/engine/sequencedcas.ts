import { CorruptionError, EnvironmentError } from '../common/errors.ts'
import { utf8Decode, utf8Encode } from '../common/utf8.ts'
import type { Cas, CasOutcome, CasToken, CasValue } from './cas.ts'
import { deleteObjects } from './deleteobjects.ts'
import type { ObjectStore } from './objectstore.ts'

/** How many old values stay, and after how many new ones old ones go. */
const KEPT = 64
/** Names that are looked at above the first missing one: so many values that were deleted by hand, one after the other, are missed. */
const AHEAD = 2
const ATTEMPTS = 100
const VALUE_NAME = /^\d{20}$/
const NUMBER = /^\d{1,15}$/

export interface SequencedCasOptions {
  /** Values that stay besides the newest; as many new ones are written until others go. */
  kept?: number | undefined
}

/**
 * A value kept under names that are created only if absent: `<key>/<sequence>`, from 1 on; the highest is the value. For stores without If-Match, and
 * folders.
 *
 * A writer who stalls could create a name that others created and deleted meanwhile: no condition tells it. So there is a boundary, at or above each
 * name that was ever deleted. It is raised before names are deleted; a writer looks at it after it created a name and before it says so, a reader
 * after it found the highest name. What was created at or below the boundary does not exist. The boundary is itself a sequence of names created if
 * absent, `<key>/boundary/<n>`, none of which is ever deleted; the highest counts. `<key>/hint` says where to begin to ask: a value that was once there.
 * SlateDB's RFC 0026 has the hazard and the cure.
 *
 * Above the boundary no name is missing below the highest one: a value is written by a process that has read the one before. A name that is missing
 * there, below another or at the hint, was deleted by hand. A reader refuses to go back to the value before it. A writer that created a name looks
 * above it before it says so: it may have filled such a hole, or others have already gone on from its value, and a read says which.
 */
export class SequencedCas implements Cas {
  private readonly store: ObjectStore
  private readonly key: string
  private readonly kept: number
  /** A value that was once there; the highest boundary that was seen. Both only grow. */
  private sequence = 0
  private boundary = { name: 0, value: 0 }
  private hintRead = false

  constructor(store: ObjectStore, key: string, { kept = KEPT }: SequencedCasOptions = {}) {
    this.store = store
    this.key = key
    this.kept = kept
  }

  async read(): Promise<CasValue | undefined> {
    if (!this.hintRead) await this.readHint()
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.readBoundary()
      const before = this.boundary.value
      const { highest, hole } = await this.highest(Math.max(this.sequence, before + 1))
      const object = highest === undefined || hole !== undefined ? undefined : await this.store.get(this.valueKey(highest))
      await this.readBoundary()
      if (object !== undefined && highest !== undefined && highest > this.boundary.value) {
        this.sequence = highest
        return { value: object.bytes, token: String(highest) }
      }
      if (this.boundary.value !== before) continue
      if (highest === undefined && hole === undefined && this.sequence === 0 && before === 0) return undefined
      throw this.lost(hole ?? highest ?? Math.max(this.sequence, before + 1))
    }
    throw new EnvironmentError('store.unavailable', `${this.key} was replaced ${ATTEMPTS} times while it was read: try again`, { file: this.key })
  }

  async write(value: Uint8Array, token: CasToken | undefined): Promise<CasOutcome> {
    const sequence = token === undefined ? 1 : Number(token) + 1
    const { outcome } = await this.store.put(this.valueKey(sequence), value, { ifNoneMatch: true })
    if (outcome !== 'written') return outcome
    try {
      await this.readBoundary()
      if (this.boundary.value >= sequence) return 'refused'
      if (await this.isAnyAbove(sequence)) return 'unknown'
    } catch (error) {
      if (error instanceof EnvironmentError) return 'unknown'
      throw error
    }
    this.sequence = Math.max(this.sequence, sequence)
    // The value is written, even if the tidying fails.
    await unlessInTheWay(() => this.tidy(sequence))
    return 'written'
  }

  /** The highest name from `from` on, below which no name is missing; and the first that is missing although there is a higher one. */
  private async highest(from: number): Promise<{ highest?: number; hole?: number }> {
    let found: { highest?: number } = {}
    for (let next = from; ;) {
      if (await this.isThere(next)) found = { highest: next++ }
      else if (!await this.isAnyAbove(next)) return found
      // Others may have created both in the meantime.
      else if (!await this.isThere(next)) return { ...found, hole: next }
    }
  }

  private async isThere(sequence: number): Promise<boolean> {
    return await this.store.head(this.valueKey(sequence)) !== undefined
  }

  private async isAnyAbove(sequence: number): Promise<boolean> {
    return (await Promise.all(Array.from({ length: AHEAD }, (_, i) => this.isThere(sequence + 1 + i)))).includes(true)
  }

  private lost(sequence: number): CorruptionError {
    return new CorruptionError('store.value-lost', `${this.key} has had a value, number ${sequence}, which must never be deleted, `
      + 'and it is gone: put that object back, from a version or a backup of the store', { file: this.key })
  }

  private async readBoundary(): Promise<void> {
    for (;;) {
      const name = this.boundary.name + 1
      const object = await this.store.get(this.boundaryKey(name))
      if (object === undefined) return
      const value = utf8Decode(object.bytes)
      if (!NUMBER.test(value)) throw new CorruptionError('store.boundary', 'a boundary of deleted names is no number', { file: this.boundaryKey(name) })
      this.boundary = { name, value: Math.max(this.boundary.value, Number(value)) }
    }
  }

  private async readHint(): Promise<void> {
    const hint = await this.store.get(`${this.key}/hint`)
    const [sequence, name] = hint === undefined ? [] : utf8Decode(hint.bytes).split(' ')
    this.hintRead = true
    if (!NUMBER.test(sequence ?? '') || !NUMBER.test(name ?? '')) return
    // Begins one lower, so that this boundary is read for its value.
    this.boundary = { name: Math.max(0, Number(name) - 1), value: 0 }
    this.sequence = Number(sequence)
  }

  /** Deletes old names and replaces the hint. */
  private async tidy(sequence: number): Promise<void> {
    if (sequence % this.kept === 0 && sequence > this.kept) await this.deleteUpTo(sequence - this.kept)
    await this.store.put(`${this.key}/hint`, utf8Encode(`${sequence} ${this.boundary.name}`))
  }

  /** Every name below the newest one goes: those that a deletion before left behind, and those that a stalled writer created since, too. */
  async forgetEarlier(): Promise<void> {
    if (await this.read() === undefined) return
    if (!await this.raiseBoundary(this.sequence - 1)) return
    const names: string[] = []
    for await (const { key } of this.store.list(`${this.key}/`)) {
      const name = key.slice(this.key.length + 1)
      if (VALUE_NAME.test(name) && Number(name) <= this.boundary.value) names.push(key)
    }
    await deleteObjects(this.store, names)
  }

  private async deleteUpTo(last: number): Promise<void> {
    const { value } = this.boundary
    if (last <= value || !await this.raiseBoundary(last)) return
    // Begins before the last boundary, because a deletion may have failed.
    const first = Math.max(1, value - this.kept + 1)
    await this.store.delete(Array.from({ length: last - first + 1 }, (_, i) => this.valueKey(first + i)))
  }

  /** @returns false if another process raised it: names between are that one's to delete */
  private async raiseBoundary(last: number): Promise<boolean> {
    const { name, value } = this.boundary
    if (last <= value) return true
    const raised = await this.store.put(this.boundaryKey(name + 1), utf8Encode(String(last)), { ifNoneMatch: true })
    if (raised.outcome !== 'written') return false
    this.boundary = { name: name + 1, value: last }
    return true
  }

  private valueKey(sequence: number): string {
    return `${this.key}/${numbered(sequence)}`
  }

  private boundaryKey(name: number): string {
    return `${this.key}/boundary/${numbered(name)}`
  }
}

async function unlessInTheWay(body: () => Promise<void>): Promise<void> {
  try {
    await body()
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error
  }
}

function numbered(number: number): string {
  return String(number).padStart(20, '0')
}
