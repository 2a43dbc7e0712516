import { type Command, InvalidArgumentError, Option } from 'commander'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import type { FullXid } from '../xact/transactionstate.ts'
import { counted } from './count.ts'
import type { Output } from './output.ts'

/** What the user knows of a data directory that does not say it any more. */
export interface KnownOptions {
  major?: PgMajor
  systemIdentifier?: bigint
  nextXid?: FullXid
}

export interface CorruptOptions extends KnownOptions {
  onCorrupt: 'fail' | 'carry'
  unknownTransactions: 'hide' | 'show'
}

/** The options of verbs that read a data directory that may be damaged. */
export function addCorruptOptions(command: Command): Command {
  return addKnownOptions(addUnknownOption(addOnCorruptOption(command)))
}

/** Those of {@link KnownOptions}. */
export function addKnownOptions(command: Command): Command {
  return command
    .option('--major <number>', 'with carry: the major version, if PG_VERSION is lost', parseMajor)
    .option('--system-identifier <number>', "with carry: the cluster's system identifier, if pg_control is lost and pg_wal has none", parseSystemIdentifier)
    .option('--next-xid <epoch:xid>', 'with carry: NextXID as pg_controldata prints it, if pg_control is lost and transaction ids have wrapped', parseNextXid)
}

export function knownOf({ major, systemIdentifier, nextXid }: KnownOptions): KnownOptions {
  return { ...(major !== undefined && { major }), ...(systemIdentifier !== undefined && { systemIdentifier }), ...(nextXid !== undefined && { nextXid }) }
}

export function addOnCorruptOption(command: Command): Command {
  const action = new Option('--on-corrupt <action>', 'if files are damaged: stop, or read what is readable and name the rest')
    .choices(['fail', 'carry']).default('fail')
  return command.addOption(action)
}

export function addUnknownOption(command: Command): Command {
  return command.addOption(new Option('--unknown-transactions <action>', 'rows whose transaction status is lost and that have no hint bit')
    .choices(['hide', 'show']).default('hide'))
}

export function parseMajor(text: string): PgMajor {
  const major = PG_MAJORS.find((known) => String(known) === text)
  if (major === undefined) throw new InvalidArgumentError('a major from 14 to 18 is needed.')
  return major
}

function parseSystemIdentifier(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 1n << 64n) throw new InvalidArgumentError('a decimal number of 64 bits is needed.')
  return BigInt(text)
}

/** `1:734`, or the same as one number. */
function parseNextXid(text: string): FullXid {
  const [, epoch, low] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  const full = low === undefined ? /^\d{1,20}$/.test(text) ? BigInt(text) : undefined : (BigInt(epoch!) << 32n) + BigInt(low)
  const isFull = full !== undefined && full < 1n << 53n && Number(low ?? 0) < 2 ** 32
  if (!isFull || full % (1n << 32n) < 3n) throw new InvalidArgumentError('write it as epoch:xid, such as 1:734.')
  return { low: Number(full % (1n << 32n)), epoch: Number(full >> 32n) }
}

/** What is damaged goes to stderr. */
export async function tellLosses(output: Output, losses: readonly string[]): Promise<void> {
  for (const loss of losses) await output.note(`ltap: damaged: ${loss}`)
}

/** How many row versions were found whose visibility is not known. */
export async function tellUnknown(output: Output, rows: number, policy: 'hide' | 'show'): Promise<void> {
  if (rows === 0) return
  const [are, whose] = rows === 1 ? ['is', 'its transaction'] : ['are', 'their transactions']
  const what = policy === 'hide' ? `${are} not shown, because` : `${are} shown, although`
  const way = policy === 'hide' ? '; --unknown-transactions show shows them' : ''
  await output.note(`ltap: ${counted(rows, 'row version')} ${what} nothing says whether ${whose} committed${way}`)
}
