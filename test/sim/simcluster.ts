import { formatLsn } from '../../src/common/ids.ts'
import type { EntryKey } from '../../src/lake/state/entries.ts'
import { relationKey } from '../../src/lake/state/relationlayers.ts'
import type { TransactionStatus } from '../../src/lake/state/status.ts'
import type { Random } from '../support/random.ts'
import { check } from './world.ts'

/** A row version as a heap page has it: its transactions are known by number only. */
export interface SimTuple {
  account: number
  balance: number
  xmin: number
  /** 0: nobody deleted it. */
  xmax: number
}

export type SimBlock = readonly SimTuple[]

/** How a transaction ended, as of one LSN. */
export type TransactionEnd = (xid: number) => 'committed' | 'aborted' | 'open'

/** Blocks by number. */
interface SimRelation {
  readonly entry: EntryKey
  /** Of the table, which keeps it when it is rewritten under another number. */
  readonly oid: number
  readonly created: number
  dropped: number | undefined
  /** Content since each LSN, the newest last. */
  readonly blocks: { at: number; block: SimBlock }[][]
  /** Length in blocks since each LSN. */
  readonly lengths: { at: number; length: number }[]
}

const FIRST_BALANCE = 100
export const FROZEN = 2
const ACCOUNTS_OF_BLOCK = 3

/** A bank in a Postgres: transfers change two blocks and commit later, or do not. What it has at each LSN is known for ever. */
export class SimCluster {
  readonly timeline: number
  readonly accounts: number
  lsn = 8
  private readonly relations: SimRelation[]
  private readonly ended = new Map<number, { committed: boolean; at: number }>()
  private open: { xid: number; steps: { account: number; delta: number }[] }[] = []
  private nextXid = 100
  private nextRelNumber = 1000
  private readonly random: Random

  constructor(timeline: number, random: Random, relations: number, blocks: number) {
    this.timeline = timeline
    this.random = random
    this.accounts = relations * blocks * ACCOUNTS_OF_BLOCK
    let account = 0
    this.relations = Array.from({ length: relations }, () => this.newRelation(8, Array.from({ length: blocks }, () =>
      Array.from({ length: ACCOUNTS_OF_BLOCK }, () => ({ account: account++, balance: FIRST_BALANCE, xmin: FROZEN, xmax: 0 })))))
  }

  /** A server that runs on what the cluster was at `lsn`: its past is the same, and what was open then is aborted. */
  fork(timeline: number, lsn: number, random: Random): SimCluster {
    const child = new SimCluster(timeline, random, 0, 0)
    Object.assign(child, { accounts: this.accounts, lsn, nextXid: this.nextXid, nextRelNumber: this.nextRelNumber + timeline * 1000 })
    for (const { entry, oid, created, dropped, blocks, lengths } of this.relations) {
      if (created > lsn) continue
      child.relations.push({
        entry, oid, created, dropped: dropped !== undefined && dropped <= lsn ? dropped : undefined,
        blocks: blocks.map((versions) => versions.filter(({ at }) => at <= lsn)), lengths: lengths.filter(({ at }) => at <= lsn),
      })
    }
    for (const [xid, end] of this.ended) if (end.at <= lsn) child.ended.set(xid, end)
    child.lsn += 8
    for (let xid = 100; xid < this.nextXid; xid++) if (!child.ended.has(xid)) child.ended.set(xid, { committed: false, at: child.lsn })
    return child
  }

  get total(): number {
    return this.accounts * FIRST_BALANCE
  }

  /** One record of WAL, or a few. */
  step(): void {
    const kind = this.random.int(100)
    if (kind < 30) this.begin()
    else if (kind < 80) this.goOn()
    else if (kind < 95) this.vacuum()
    else this.rewrite()
  }

  /** Entries of the relations that exist at `lsn`. */
  relationsAt(lsn: number): EntryKey[] {
    return this.relations.filter(({ created, dropped }) => created <= lsn && (dropped === undefined || dropped > lsn)).map(({ entry }) => entry)
  }

  /** Oid of the table that a relation is of. */
  oidOf(entry: EntryKey): number {
    return this.find(entry).oid
  }

  /** What a reader sees of a table at `lsn`, each row as text, sorted; undefined if there is no such table. */
  rowsAt(oid: number, lsn: number): string[] | undefined {
    const entry = this.relationsAt(lsn).find((relation) => this.oidOf(relation) === oid)
    if (entry === undefined) return undefined
    const ended = this.endAt(lsn)
    const blocks = Array.from({ length: this.lengthAt(entry, lsn) }, (_, block) => this.blockAt(entry, block, lsn))
    return blocks.flat().filter((tuple) => isVisible(tuple, (xid) => ended(xid) === 'committed')).map(rowText).sort()
  }

  endAt(lsn: number): TransactionEnd {
    return (xid) => {
      const end = this.ended.get(xid)
      return xid === FROZEN ? 'committed' : end === undefined || end.at > lsn ? 'open' : end.committed ? 'committed' : 'aborted'
    }
  }

  /** Transactions of which there are tuples at `lsn` and that have not ended then. */
  openAt(lsn: number): number[] {
    const ended = this.endAt(lsn)
    const open = new Set<number>()
    for (const entry of this.relationsAt(lsn)) {
      for (let block = 0; block < this.lengthAt(entry, lsn); block++) {
        for (const { xmin, xmax } of this.blockAt(entry, block, lsn)) for (const xid of [xmin, xmax]) if (xid !== 0 && ended(xid) === 'open') open.add(xid)
      }
    }
    return [...open]
  }

  lengthAt(entry: EntryKey, lsn: number): number {
    return this.find(entry).lengths.findLast(({ at }) => at <= lsn)?.length ?? 0
  }

  smallestBetween(entry: EntryKey, from: number, to: number): number {
    return Math.min(this.lengthAt(entry, Math.max(from, this.find(entry).created)), ...this.find(entry).lengths.filter(({ at }) => at > from && at <= to).map(({ length }) => length))
  }

  blockAt(entry: EntryKey, block: number, lsn: number): SimBlock {
    return this.find(entry).blocks[block]!.findLast(({ at }) => at <= lsn)!.block
  }

  /** Blocks that are not at `to` what they were at `from`, and each block from the smallest length between on. */
  changedBlocks(entry: EntryKey, from: number, to: number): number[] {
    const smallest = this.find(entry).created > from ? 0 : this.smallestBetween(entry, from, to)
    const changed: number[] = []
    for (let block = 0; block < this.lengthAt(entry, to); block++) {
      const isChanged = block >= smallest || this.find(entry).blocks[block]!.some(({ at }) => at > from && at <= to)
      if (isChanged) changed.push(block)
    }
    return changed
  }

  /** Transactions that ended behind `from`, up to `to`. */
  endsBetween(from: number, to: number): { xid: number; status: TransactionStatus }[] {
    return [...this.ended].filter(([, { at }]) => at > from && at <= to)
      .map(([xid, { committed, at }]) => ({ xid, status: { ended: committed ? 'committed' : 'aborted', lsn: lsnText(at), time: at } }))
  }

  private find(entry: EntryKey): SimRelation {
    const found = this.relations.find((relation) => relation.entry.key === entry.key)
    check(found !== undefined, `relation ${entry.key} is in the lake, and was never in the cluster`)
    return found
  }

  private newRelation(at: number, blocks: SimBlock[], oid: number = this.nextRelNumber): SimRelation {
    const entry = relationKey({ spcOid: 1663, dbOid: 5, relNumber: this.nextRelNumber++ }, lsnText(at))
    return { entry, oid, created: at, dropped: undefined, blocks: blocks.map((block) => [{ at, block }]), lengths: [{ at, length: blocks.length }] }
  }

  private begin(): void {
    const busy = new Set(this.open.flatMap(({ steps }) => steps.map(({ account }) => account)))
    const [from, to] = [this.random.int(this.accounts), this.random.int(this.accounts)]
    if (from === to || busy.has(from) || busy.has(to)) return
    const amount = 1 + this.random.int(50)
    this.open.push({ xid: this.nextXid++, steps: [{ account: from, delta: -amount }, { account: to, delta: amount }] })
  }

  private goOn(): void {
    if (this.open.length === 0) return
    const transaction = this.random.pick(this.open)
    const step = transaction.steps.find(({ delta }) => delta !== 0)
    if (step) {
      this.update(transaction.xid, step.account, step.delta)
      step.delta = 0
      return
    }
    this.lsn += 8
    this.ended.set(transaction.xid, { committed: this.random.chance(80), at: this.lsn })
    this.open = this.open.filter((other) => other !== transaction)
  }

  private update(xid: number, account: number, delta: number): void {
    this.change(account, (block) => {
      const old = block.find((tuple) => tuple.account === account && this.isLive(tuple))!
      return [...block.map((tuple) => tuple === old ? { ...tuple, xmax: xid } : tuple), { account, balance: old.balance + delta, xmin: xid, xmax: 0 }]
    })
  }

  private vacuum(): void {
    this.change(this.random.int(this.accounts), (block) => block.filter((tuple) => !this.isDead(tuple))
      .map((tuple) => this.isCommitted(tuple.xmin) && tuple.xmax === 0 ? { ...tuple, xmin: FROZEN } : tuple))
  }

  /** As VACUUM FULL: all live rows of a relation into another one, packed more tightly or less, or the end of a relation cut off. */
  private rewrite(): void {
    const live = this.relations.filter(({ dropped }) => dropped === undefined)
    const relation = this.random.pick(live)
    const tuples = this.currentBlocks(relation).flat()
    if (tuples.some(({ xmin, xmax }) => !this.isEnded(xmin) || xmax !== 0 && !this.isEnded(xmax))) return
    this.lsn += 8
    const kept = tuples.filter((tuple) => this.isLive(tuple)).map((tuple) => ({ ...tuple, xmin: FROZEN, xmax: 0 }))
    const perBlock = 2 + this.random.int(3)
    const blocks = Array.from({ length: Math.ceil(kept.length / perBlock) }, (_, i) => kept.slice(i * perBlock, (i + 1) * perBlock))
    if (this.random.chance(50)) {
      relation.dropped = this.lsn
      this.relations.push(this.newRelation(this.lsn, blocks, relation.oid))
      return
    }
    // Truncated to nothing and extended, in one go: the smallest length between two materializations may be 0.
    relation.lengths.push({ at: this.lsn, length: 0 })
    this.lsn += 8
    relation.lengths.push({ at: this.lsn, length: blocks.length })
    for (const [i, block] of blocks.entries()) (relation.blocks[i] ??= []).push({ at: this.lsn, block })
  }

  private change(account: number, body: (block: SimBlock) => SimBlock): void {
    for (const relation of this.relations) {
      if (relation.dropped !== undefined) continue
      for (const [i, block] of this.currentBlocks(relation).entries()) {
        if (!block.some((tuple) => tuple.account === account)) continue
        this.lsn += 8
        relation.blocks[i]!.push({ at: this.lsn, block: body(block) })
        return
      }
    }
  }

  private currentBlocks({ blocks, lengths }: SimRelation): SimBlock[] {
    return blocks.slice(0, lengths.at(-1)!.length).map((versions) => versions.at(-1)!.block)
  }

  private isEnded(xid: number): boolean {
    return xid === FROZEN || this.ended.has(xid)
  }

  private isCommitted(xid: number): boolean {
    return xid === FROZEN || this.ended.get(xid)?.committed === true
  }

  private isLive({ xmin, xmax }: SimTuple): boolean {
    return this.isCommitted(xmin) && (xmax === 0 || this.isEnded(xmax) && !this.isCommitted(xmax))
  }

  /** Nobody will ever see it. */
  private isDead({ xmin, xmax }: SimTuple): boolean {
    return this.isEnded(xmin) && !this.isCommitted(xmin) || xmax !== 0 && this.isCommitted(xmax)
  }
}

export function lsnText(lsn: number): string {
  return formatLsn(BigInt(lsn))
}

export function lsnNumber(text: string): number {
  const [high, low] = text.split('/') as [string, string]
  return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16)
}

/** What a reader at a state sees, by what the lake says of transactions: a transaction of which it says nothing is in progress. */
export function isVisible({ xmin, xmax }: SimTuple, isCommitted: (xid: number) => boolean): boolean {
  return (xmin === FROZEN || isCommitted(xmin)) && !(xmax !== 0 && isCommitted(xmax))
}

/** A row as a test compares it. */
export function rowText({ account, balance }: SimTuple): string {
  return `${account}: ${balance}`
}
