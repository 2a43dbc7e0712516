import { type Command, Option } from 'commander'
import type { ClusterOptions } from '../io/cluster.ts'
import { counted } from './count.ts'
import type { Output } from './output.ts'

export interface CorruptOptions {
  onCorrupt: 'fail' | 'carry'
  unknownTransactions: 'hide' | 'show'
}

/** The options of verbs that read a data directory that may be damaged. */
export function addCorruptOptions(command: Command): Command {
  const action = new Option('--on-corrupt <action>', 'at damage: stop, or read what is there and say what is not').choices(['fail', 'carry']).default('fail')
  return addUnknownOption(command.addOption(action))
}

export function addUnknownOption(command: Command): Command {
  return command.addOption(new Option('--unknown-transactions <action>', 'rows whose transaction status is lost, with no hint bit to settle it')
    .choices(['hide', 'show']).default('hide'))
}

export function clusterOptionsOf({ onCorrupt, unknownTransactions }: CorruptOptions): ClusterOptions {
  return { onCorrupt, unknownTransactions }
}

/** What is damaged goes to stderr. */
export async function tellLosses(output: Output, losses: readonly string[]): Promise<void> {
  for (const loss of losses) await output.note(`ltap: damaged: ${loss}`)
}

/** How many row versions were met of which nobody can say whether they count. */
export async function tellUnknown(output: Output, rows: number, policy: 'hide' | 'show'): Promise<void> {
  if (rows === 0) return
  const what = `${counted(rows, 'row version')} with no known transaction status`
  await output.note(policy === 'hide' ? `ltap: ${what} not shown as rows: --unknown-transactions show shows them` : `ltap: ${what} shown`)
}
