/** Transaction state in memory, and from a data directory: what replay of transactions is tested on. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SlruStore, TransactionStore } from '../../src/xact/store.ts'

const PAGE = 8192
const PAGES_PER_SEGMENT = 32

export class MemorySlru implements SlruStore {
  readonly pages = new Map<number, Uint8Array>()

  page(n: number): Uint8Array | undefined {
    return this.pages.get(n)
  }

  change(n: number): Uint8Array {
    const page = this.pages.get(n) ?? new Uint8Array(PAGE)
    this.pages.set(n, page)
    return page
  }

  zero(n: number): void {
    this.pages.set(n, new Uint8Array(PAGE))
  }

  segments(): Set<number> {
    return new Set([...this.pages.keys()].map((n) => Math.floor(n / PAGES_PER_SEGMENT)))
  }

  dropSegment(segment: number): void {
    for (let n = segment * PAGES_PER_SEGMENT; n < (segment + 1) * PAGES_PER_SEGMENT; n++) this.pages.delete(n)
  }

  /** All pages of a folder of segment files. */
  static read(dir: string): MemorySlru {
    const slru = new MemorySlru()
    for (const name of readdirSync(dir).filter((file) => /^[0-9A-F]{4,6}$/.test(file))) {
      const bytes = readFileSync(join(dir, name))
      if (bytes.length % PAGE !== 0) throw new Error(`${dir}/${name} has ${bytes.length} bytes`)
      for (let at = 0; at < bytes.length; at += PAGE) {
        slru.pages.set(parseInt(name, 16) * PAGES_PER_SEGMENT + at / PAGE, new Uint8Array(bytes.subarray(at, at + PAGE)))
      }
    }
    return slru
  }
}

export class MemoryTransactionStore implements TransactionStore {
  readonly clog: MemorySlru
  readonly multiOffsets: MemorySlru
  readonly multiMembers: MemorySlru
  /** By file name. */
  readonly prepared = new Map<string, Uint8Array>()
  protected readonly major: number

  constructor(major: number, clog = new MemorySlru(), multiOffsets = new MemorySlru(), multiMembers = new MemorySlru()) {
    this.major = major
    this.clog = clog
    this.multiOffsets = multiOffsets
    this.multiMembers = multiMembers
  }

  /** Of a stopped or crashed server. */
  static read(dataDir: string, major: number): MemoryTransactionStore {
    const [clog, offsets, members] = ['pg_xact', 'pg_multixact/offsets', 'pg_multixact/members'].map((dir) => MemorySlru.read(join(dataDir, dir)))
    const store = new MemoryTransactionStore(major, clog, offsets, members)
    const dir = join(dataDir, 'pg_twophase')
    if (existsSync(dir)) for (const name of readdirSync(dir)) store.prepared.set(name, new Uint8Array(readFileSync(join(dir, name))))
    return store
  }

  savePrepared(xid: number, bytes: Uint8Array, epoch: number): void {
    this.prepared.set(this.name(xid, epoch), bytes)
  }

  removePrepared(xid: number, epoch: number): void {
    this.prepared.delete(this.name(xid, epoch))
  }

  /** TwoPhaseFilePath (twophase.c). */
  private name(xid: number, epoch: number): string {
    const hex = (n: number): string => n.toString(16).toUpperCase().padStart(8, '0')
    return this.major >= 17 ? hex(epoch) + hex(xid) : hex(xid)
  }
}
