import { type Command, InvalidArgumentError } from 'commander'
import { isPositioned } from '../common/errors.ts'
import type { OpenLakeOptions } from '../jobs/lakes/fetchedobjects.ts'
import { durationOf, keepWishOf } from '../jobs/lakes/keepwish.ts'
import { parsePoint } from '../jobs/lakes/pointof.ts'
import { type PackedTable, type Packing, PACKING_MAX } from '../lake/clusterinfo.ts'

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value]
}

/** `--table schema.name`. */
export function collectTable(value: string, previous: readonly string[]): string[] {
  return collect(parseTable(value), previous)
}

/** `--exclude`, of every verb that has it. */
export function addExcludeOption(command: Command): Command {
  return command.option('--exclude <pattern>', 'leave out tables and their TOAST relations; * and ? as in psql, schema.name or name (repeatable)', collect, [])
}

/** `--codecs`, of every verb that reads or writes values. */
export function addCodecsOption(command: Command): Command {
  return command.option('--codecs <module>', 'a JavaScript module with codecs for types that ltap does not know; it is run (repeatable)', collect, [])
}

/** `--limit`, of every verb that prints rows. */
export function addLimitOption(command: Command): Command {
  return command.option('--limit <count>', 'print at most this many rows', parseLimit)
}

export function parseTable(text: string): string {
  if (!/^.+\..+$/s.test(text)) throw new InvalidArgumentError('write it as schema.name.')
  return text
}

export function parseWorkers(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 999 is needed.')
  return Number(text)
}

export function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('a number from 0 to 65535 is needed.')
  return Number(text)
}

/** `--pack-threshold` and `--pack-below`: lengths of relations. */
export function parsePackBlocks(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > PACKING_MAX) throw new InvalidArgumentError(`a number of blocks from 0 to ${PACKING_MAX} is needed.`)
  return Number(text)
}

/** What `--pack-below` is given: a length for all user tables, or one for a table. */
export type PackBelow = number | PackedTable

/** `--pack-below`, which may be given several times. */
export function collectPackBelow(value: string, previous: readonly PackBelow[]): PackBelow[] {
  const at = value.lastIndexOf('=')
  return [...previous, at < 0 ? parsePackBlocks(value) : { table: parseTable(value.slice(0, at)), below: parsePackBlocks(value.slice(at + 1)) }]
}

/** `--pack-threshold` and `--pack-below` as the jobs take them. */
export function packingOptions({ packThreshold: threshold, packBelow }: { packThreshold?: number; packBelow: readonly PackBelow[] }): Partial<Packing> {
  const below = packBelow.findLast((given) => typeof given === 'number')
  const tables = packBelow.filter((given) => typeof given !== 'number')
  return { ...(threshold !== undefined && { threshold }), ...(below !== undefined && { below }), ...(tables.length > 0 && { tables }) }
}

/** A number of snapshots. */
export function parseSnapshots(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('give a number from 1 on.')
}

/** `--at`: whether a lake has such a tag is seen later. */
export function parseAt(text: string): string {
  if (parsePoint(text) === undefined) throw new InvalidArgumentError('a tag, an LSN such as 16/B374D848, or a time such as 2026-01-31 12:00:00Z is needed.')
  return text
}

/** `--keep` and `--erasure`. */
export function parseSince(text: string): string {
  return accepted(text, () => keepWishOf(text, 0))
}

/** `--for`. */
export function parseFor(text: string): string {
  return accepted(text, () => durationOf(text))
}

/** A text that a job takes. What it refuses in this way is a mistake of the command line. */
function accepted(text: string, read: () => unknown): string {
  try {
    read()
    return text
  } catch (error) {
    throw isPositioned(error) ? new InvalidArgumentError(`${error.reason}.`) : error
  }
}

function parseLimit(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('a number of rows is needed.')
  return Number(text)
}

/** What commander makes of `--lake`, `--branch` and `--cache-size`. */
export interface LakeOptions {
  lake: string
  branch?: string
  cacheSize?: number
}

/** What a job takes of them. */
export function openOptionsOf({ branch, cacheSize }: Omit<LakeOptions, 'lake'>): OpenLakeOptions {
  return { ...(branch !== undefined && { branch }), ...(cacheSize !== undefined && { cacheBytes: cacheSize }) }
}

/** `--lake`, `--branch` and `--cache-size`, of every verb that reads a lake. */
export function addLakeOptions(command: Command): Command {
  return command
    .requiredOption('--lake <dir|url>', 'folder of the lake, or s3://bucket/prefix')
    .option('--branch <name>', 'branch of the lake (default: main)')
    .option('--cache-size <size>', 'of an object store: at most so much is fetched and kept at the same time, such as 500MB (default: 4GB)', parseSize)
}

const UNITS: Record<string, number> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }

function parseSize(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6}(?:\.\d{1,3})?)\s*([KMGT]?B)?$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * (UNITS[unit.toUpperCase().replace(/^B$/, '')] ?? NaN))
  if (!(bytes > 0)) throw new InvalidArgumentError('write it as 500MB or 4GB.')
  return bytes
}
