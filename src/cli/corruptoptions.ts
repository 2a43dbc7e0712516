import { type Command, InvalidArgumentError, Option } from 'commander'
import { type PgMajor, PG_MAJORS } from '../common/pgversion.ts'
import type { DirectoryOptions } from '../io/cluster.ts'
import { counted } from './count.ts'
import type { Output } from './output.ts'

export interface CorruptOptions {
  onCorrupt: 'fail' | 'carry'
  unknownTransactions: 'hide' | 'show'
  major?: PgMajor
}

/** The options of verbs that read a data directory that may be damaged. */
export function addCorruptOptions(command: Command): Command {
  return addUnknownOption(addOnCorruptOption(command)).option('--major <number>', 'with carry: the major version, if PG_VERSION is lost', parseMajor)
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

export function clusterOptionsOf({ onCorrupt, unknownTransactions, major }: CorruptOptions): DirectoryOptions {
  return { onCorrupt, unknownTransactions, ...(major !== undefined && { major }) }
}

export function parseMajor(text: string): PgMajor {
  const major = PG_MAJORS.find((known) => String(known) === text)
  if (major === undefined) throw new InvalidArgumentError('a major from 14 to 18 is needed.')
  return major
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
