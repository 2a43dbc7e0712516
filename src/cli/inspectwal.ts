import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { EnvironmentError, isPositioned } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import { onInterrupt } from '../io/process/interruption.ts'
import { withWal } from '../io/seed/waltar.ts'
import { openWal, type WalSource } from '../io/walsource/walsource.ts'
import { dumpRecord } from '../wal/waldump.ts'
import type { WalRecord } from '../wal/record.ts'
import { RM_XLOG_ID } from '../wal/rmgr.ts'
import { WalStats } from '../wal/walstats.ts'
import { XLOG_SWITCH } from '../wal/xlog.ts'
import { counted } from './count.ts'
import { UsageError } from './failure.ts'
import type { Output } from './output.ts'
import { addVerb, begin, type Run } from './verb.ts'
import { collectRmgr, matches, parseFork, parsePosition, parseRelation, parseWord, type WalFilter } from './walfilter.ts'
import { walRecordJson } from './walrecordjson.ts'

interface InspectWalOptions extends WalFilter {
  start?: WalPosition
  end?: WalPosition
  timeline?: number
  limit?: number
  bkpDetails?: boolean
  stats?: true | 'rmgr' | 'record'
  follow?: boolean
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'print WAL records as pg_waldump does: of a segment, an archive, a running server',
  examples: [
    'ltap inspect wal ./data/pg_wal/000000010000000000000001 --limit 20',
    'ltap inspect wal ./data --start 0/1A3B2C8 --rmgr Heap --rmgr Heap2 --relation 1663/5/16384',
    'ltap inspect wal ./archive --stats record   # of pgBackRest, Barman, WAL-G, pg_receivewal, or pg_wal.tar',
    `ltap inspect wal ./data --follow --json | jq -c 'select(.type == "COMMIT")'`,
  ],
}

/** How long --follow waits at the end of the WAL, and how much text is written at once. */
const POLL_MS = 250
const BATCH_CHARACTERS = 1 << 16

/** `ltap inspect wal`. */
export function addInspectWal(inspect: Command, run: Run): void {
  addVerb(inspect, 'wal <segment|dir>', TEXT)
    .option('--start <lsn>', 'start with the first record that begins at or after the LSN (default: the oldest record)', parsePosition)
    .option('--end <lsn>', 'print records that end at or before the LSN', parsePosition)
    .option('--timeline <number>', 'the timeline to follow, through its ancestors (default: the newest)', parseWord)
    .option('--rmgr <name>', 'only records of this resource manager (repeatable)', collectRmgr, [])
    .option('--relation <spc/db/rel>', 'only records with a block of this relation', parseRelation)
    .option('--fork <name>', 'only records with a block of this fork: main, fsm, vm, init', parseFork)
    .option('--block <number>', 'only records with this block; needs --relation', parseWord)
    .option('--xid <xid>', 'only records of this transaction', parseWord)
    .option('--fullpage', 'only records with a full-page image')
    .option('--limit <count>', 'print at most this many records', parseWord)
    .option('--bkp-details', 'block references on lines of their own, with what their images leave out')
    .addOption(new Option('--stats [per]', 'statistics instead of records: per rmgr (default) or per record').choices(['rmgr', 'record']))
    .option('--follow', 'at the end of the WAL wait for more, until Ctrl-C')
    .action(async (path: string, options: InspectWalOptions) => {
      const output = begin(run, options)
      checkOptions(options)
      await withWal(walFolder(path), output.notice, async (folder) => {
        const source = openWal(folder, { start: options.start, timeline: options.timeline })
        try {
          await new WalPrinter(output, source, options).print(isFile(folder))
        } finally {
          source.close()
        }
      })
    })
}

function checkOptions({ start, end, block, relation }: InspectWalOptions): void {
  if (block !== undefined && relation === undefined) throw new UsageError('--block needs --relation')
  if (start !== undefined && end !== undefined && end < start) throw new UsageError('--end is before --start')
}

/** A data directory stands for its pg_wal. */
function walFolder(path: string): string {
  const inside = join(path, 'pg_wal')
  return existsSync(inside) ? inside : path
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** Reads to the end, to --end, to --limit, or until Ctrl-C, and prints what is wanted. */
class WalPrinter {
  private readonly output: Output
  private readonly source: WalSource
  private readonly options: InspectWalOptions
  private readonly stats: WalStats
  private readonly interrupted = new AbortController()
  private firstStart: WalPosition | undefined
  private printed = 0
  private text = ''
  /** The error that --follow met when it last looked: the server may have been writing just there. */
  private lastFailure: string | undefined

  constructor(output: Output, source: WalSource, options: InspectWalOptions) {
    this.output = output
    this.source = source
    this.options = options
    this.stats = new WalStats(source.major)
  }

  /** @param single one segment file: that no other follows is no news */
  async print(single: boolean): Promise<void> {
    const interrupt = (): void => this.interrupted.abort()
    const forget = this.options.follow === true ? onInterrupt(interrupt) : () => {}
    try {
      const atEnd = await this.printAll()
      await this.printStats()
      await this.flush()
      if (atEnd) await this.noteEnd(single)
    } catch (error) {
      // What came before the bad record stays readable.
      await this.flush()
      throw error
    } finally {
      forget()
    }
  }

  /** @returns true at the end of the WAL; false if there was a reason to stop before it */
  private async printAll(): Promise<boolean> {
    for (;;) {
      if (this.interrupted.signal.aborted || this.printed >= (this.options.limit ?? Infinity)) return false
      const record = this.read()
      if (record !== undefined) {
        if (endOfBytes(record) > (this.options.end ?? Infinity)) return false
        await this.take(record)
      } else if (this.options.follow === true) {
        if (this.source.position >= (this.options.end ?? Infinity)) return false
        await this.waitForMore()
      } else {
        return true
      }
    }
  }

  private read(): WalRecord | undefined {
    if (this.options.follow !== true) return this.source.read()
    try {
      const record = this.source.read()
      if (record !== undefined) this.lastFailure = undefined
      return record
    } catch (error) {
      if (!isPositioned(error) || error.message === this.lastFailure) throw error
      this.lastFailure = error.message
      return undefined
    }
  }

  private async take(record: WalRecord): Promise<void> {
    if (this.firstStart === undefined) await this.noteSkipped(record.startLsn)
    if (!matches(record, this.options)) return
    this.printed++
    if (this.options.stats !== undefined) {
      this.stats.add(record)
      return
    }
    const { major } = this.source
    this.text += this.output.json ? `${JSON.stringify(walRecordJson(record, major))}\n` : dumpRecord(record, major, this.options.bkpDetails)
    if (this.text.length >= BATCH_CHARACTERS) await this.flush()
  }

  /** As pg_waldump says it: up to 16 among the records. */
  private async noteSkipped(first: WalPosition): Promise<void> {
    this.firstStart = first
    const { start } = this.options
    if (start === undefined || first === start || start % this.source.segmentSize === 0) return
    const skipped = counted(first - start, 'byte').replaceAll(',', '')
    const line = `first record is after ${formatWalPosition(start)}, at ${formatWalPosition(first)}, skipping over ${skipped}`
    if (this.source.major <= 16 && !this.output.json) this.text += `${line}\n`
    else await this.output.note(`ltap: ${line}`)
  }

  private async waitForMore(): Promise<void> {
    await this.flush()
    await sleep(POLL_MS, undefined, { signal: this.interrupted.signal }).catch(() => {})
    this.source.resume()
  }

  private async printStats(): Promise<void> {
    const { stats } = this.options
    if (stats === undefined) return
    const perRecord = stats === 'record'
    if (this.output.json) await this.output.result(this.stats.rows(perRecord), () => '')
    else this.text += this.stats.text(perRecord, this.firstStart)
  }

  private async flush(): Promise<void> {
    const { text } = this
    this.text = ''
    if (text !== '') await (this.output.json ? this.output.write(text) : this.output.print(text))
  }

  private async noteEnd(single: boolean): Promise<void> {
    const { end, position } = this.source
    if (end === undefined) return
    if (this.firstStart === undefined) throw new EnvironmentError('wal.none', `no record: ${end.reason}`, { lsn: formatWalPosition(end.lsn) })
    if (single && end.code === 'wal.missing-segment') return
    await this.output.note(`ltap: the WAL ends at ${formatWalPosition(position)}: ${end.reason}`)
  }
}

/** Where a record's bytes end, without the padding up to {@link WalRecord.endLsn}: pg_waldump shows it if --end does not lie before that. */
function endOfBytes(record: WalRecord): WalPosition {
  const { rmgr, op, startLsn, endLsn, length } = record
  // The rest of the segment belongs to the SWITCH record, but reading the record does not need it.
  return rmgr === RM_XLOG_ID && op === XLOG_SWITCH ? startLsn + length : endLsn - (-length & 7)
}
