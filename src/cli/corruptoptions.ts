import { type Command, Option } from 'commander'
import type { ClusterOptions } from '../io/cluster.ts'
import type { Output } from './output.ts'

export interface CorruptOptions {
  onCorrupt: 'fail' | 'carry'
  unknownTransactions: 'hide' | 'show'
}

/** The options of verbs that read a data directory that may be damaged. */
export function addCorruptOptions(command: Command): Command {
  return command
    .addOption(new Option('--on-corrupt <action>', 'at damage: stop, or read what is there and say what is not').choices(['fail', 'carry']).default('fail'))
    .addOption(new Option('--unknown-transactions <action>', 'with carry: rows whose transaction status is lost, with no hint bit to settle it')
      .choices(['hide', 'show']).default('hide'))
}

export function clusterOptionsOf({ onCorrupt, unknownTransactions }: CorruptOptions): Required<Pick<ClusterOptions, 'onCorrupt' | 'unknownTransactions'>> {
  return { onCorrupt, unknownTransactions }
}

/** What is damaged goes to stderr. */
export async function tellLosses(output: Output, losses: readonly string[]): Promise<void> {
  for (const loss of losses) await output.note(`ltap: damaged: ${loss}`)
}
